// The backend of a device that runs kernels: each op starts the launcher of kernels/ops.h on the
// process's stream, under a range that profilers show.
#include "cria/ops/backend.h"

#include <initializer_list>

#include "kernels/ops.h"
#include "kernels/runtime/graph.h"
#include "kernels/runtime/library_attention.h"
#include "kernels/runtime/make_backend.h"
#include "kernels/runtime/platform.h"
#include "kernels/runtime/products.h"
#include "kernels/runtime/profile_range.h"
#include "kernels/runtime/staging.h"

namespace cria::CRIA_GPU {

namespace {

// What holds while an op is queued. Its tensors are checked to be the device's: a host pointer in a
// kernel ends the process of a GPU.
class Op {
 public:
  Op(const char* name, std::initializer_list<Tensor> tensors) {
    for (const Tensor& tensor : tensors) {
      CRIA_ASSERT(!tensor || tensor.device == CRIA_GPU::device());
    }
    begin_profile_range(name);
  }
  ~Op() { end_profile_range(); }
  Op(const Op&) = delete;

 private:
  const DeviceAccess access_;
};

class GpuBackend : public Backend {
 public:
  GpuBackend() { prepare_products(); }

  Device device() const override { return CRIA_GPU::device(); }
  std::string description() const override { return device_description(); }
  Memory& memory() override { return device_memory(); }
  void synchronize() override {
    CRIA_ASSERT(!is_recording());
    CRIA_GPU::synchronize();
  }
  // The first call fills what ops keep of a shape, which a recording cannot wait for.
  void run_recorded(std::unique_ptr<Recording>& recording,
                    const std::function<void()>& work) override {
    if (!recording) {
      work();
      recording = std::make_unique<Graph>();
      return;
    }
    Graph& graph = static_cast<Graph&>(*recording);
    if (!graph.recorded()) graph.record(work);
    const DeviceAccess access;
    graph.queue();
  }
  void begin_range(const char* name, int index) override { begin_profile_range(name, index); }
  void end_range() override { end_profile_range(); }

  void copy_from_host(Tensor destination, const void* source) override {
    CRIA_ASSERT(!is_recording());
    const Op op("copy_from_host", {destination});
    staging_.to_device(destination.data, source, destination.bytes());
  }
  void copy_to_host(void* destination, Tensor source) override {
    CRIA_ASSERT(!is_recording());
    const Op op("copy_to_host", {source});
    staging_.to_host(destination, source.data, source.bytes());
  }
  void copy(Tensor destination, Tensor source) override {
    const Op op("copy", {destination, source});
    CRIA_ASSERT(destination.dtype == source.dtype && destination.size() == source.size());
    if (source.bytes() > 0) copy_async(destination.data, source.data, source.bytes());
  }
  void cast(Tensor destination, Tensor source) override {
    if (destination.dtype == source.dtype) return copy(destination, source);
    const Op op("cast", {destination, source});
    CRIA_GPU::cast(destination, source, stream_);
  }
  void zero(Tensor destination) override {
    const Op op("zero", {destination});
    if (destination.bytes() > 0) zero_async(destination.data, destination.bytes());
  }

  void embedding_forward(const EmbeddingForward& args) override {
    const Op op("embedding_forward", {args.output, args.table, args.ids});
    CRIA_GPU::embedding_forward(args, stream_);
  }
  size_t embedding_backward_workspace_bytes(int64_t tokens, int64_t vocab_size) override {
    return CRIA_GPU::embedding_backward_workspace_bytes(tokens, vocab_size);
  }
  void embedding_backward(const EmbeddingBackward& args) override {
    const Op op("embedding_backward",
                {args.table_gradient, args.output_gradient, args.ids, args.workspace});
    CRIA_GPU::embedding_backward(args, stream_);
  }

  void rmsnorm_forward(const RmsNormForward& args) override {
    const Op op("rmsnorm_forward", {args.output, args.residual_output, args.inverse_rms, args.input,
                                    args.residual, args.weight});
    CRIA_GPU::rmsnorm_forward(args, stream_);
  }
  size_t rmsnorm_backward_workspace_bytes(int64_t tokens, int64_t hidden_size) override {
    return CRIA_GPU::rmsnorm_backward_workspace_bytes(tokens, hidden_size);
  }
  void rmsnorm_backward(const RmsNormBackward& args) override {
    const Op op("rmsnorm_backward", {args.input_gradient, args.weight_gradient,
                                     args.output_gradient, args.residual_gradient, args.input,
                                     args.inverse_rms, args.weight, args.workspace});
    CRIA_GPU::rmsnorm_backward(args, stream_);
  }

  // cuBLASLt takes weights as they are.
  size_t linear_packed_bytes(Tensor, LinearUse) override { return 0; }
  void linear_pack(const LinearPack&) override {}
  void linear_forward(const LinearForward& args) override {
    const Op op("linear_forward", {args.output, args.input, args.weight.values});
    CRIA_GPU::linear_forward(args, stream_);
  }
  void linear_backward_input(const LinearBackwardInput& args) override {
    const Op op("linear_backward_input",
                {args.input_gradient, args.output_gradient, args.weight.values});
    CRIA_GPU::linear_backward_input(args, stream_);
  }
  void linear_backward_weight(const LinearBackwardWeight& args) override {
    const Op op("linear_backward_weight", {args.weight_gradient, args.output_gradient, args.input});
    CRIA_GPU::linear_backward_weight(args, stream_);
  }

  void rope_forward(const RopeForward& args) override {
    const Op op("rope_forward", {args.qkv, args.positions, args.table});
    CRIA_GPU::rope_forward(args, stream_);
  }
  void rope_backward(const RopeBackward& args) override {
    const Op op("rope_backward", {args.qkv_gradient, args.positions, args.table});
    CRIA_GPU::rope_backward(args, stream_);
  }

  size_t attention_workspace_bytes(int64_t tokens, int n_heads, int n_kv_heads, int head_dim,
                                   DType dtype) override {
    if (by_library(dtype)) {
      return attention_->forward_workspace_bytes(tokens, n_heads, n_kv_heads, head_dim);
    }
    return CRIA_GPU::attention_workspace_bytes(tokens, n_heads, n_kv_heads, head_dim, dtype);
  }
  void attention_forward(const AttentionForward& args) override {
    const Op op("attention_forward",
                {args.output, args.log_sum_exp, args.qkv, args.sequence_offsets, args.workspace});
    if (by_library(args.qkv.dtype)) return attention_->forward(args);
    CRIA_GPU::attention_forward(args, stream_);
  }
  size_t attention_backward_workspace_bytes(int64_t tokens, int n_heads, int n_kv_heads,
                                            int head_dim, DType dtype) override {
    if (by_library(dtype)) {
      return attention_->backward_workspace_bytes(tokens, n_heads, n_kv_heads, head_dim);
    }
    return CRIA_GPU::attention_backward_workspace_bytes(tokens, n_heads, n_kv_heads, head_dim,
                                                        dtype);
  }
  void attention_backward(const AttentionBackward& args) override {
    const Op op("attention_backward",
                {args.qkv_gradient, args.output_gradient, args.output, args.log_sum_exp, args.qkv,
                 args.sequence_offsets, args.positions, args.rope_table, args.workspace});
    if (by_library(args.qkv.dtype)) return attention_->backward(args);
    CRIA_GPU::attention_backward(args, stream_);
  }
  void attention_maxima(const AttentionMaxima& args) override {
    const Op op("attention_maxima",
                {args.maxima, args.qkv, args.log_sum_exp, args.rows, args.starts});
    CRIA_GPU::attention_maxima(args, stream_);
  }

  void kv_cache_write(const KvCacheWrite& args) override {
    const Op op("kv_cache_write", {args.keys, args.values, args.qkv, args.rope_table,
                                   args.block_tables, args.row_sequences, args.context_lengths});
    CRIA_GPU::kv_cache_write(args, stream_);
  }
  size_t decode_attention_workspace_bytes(int64_t rows, int64_t max_context, int n_heads,
                                          int head_dim) override {
    return CRIA_GPU::decode_attention_workspace_bytes(rows, max_context, n_heads, head_dim);
  }
  void decode_attention(const DecodeAttention& args) override {
    const Op op("decode_attention",
                {args.output, args.qkv, args.keys, args.values, args.block_tables,
                 args.row_sequences, args.context_lengths, args.workspace});
    CRIA_GPU::decode_attention(args, stream_);
  }

  void swiglu_forward(const SwigluForward& args) override {
    const Op op("swiglu_forward", {args.output, args.gate_up});
    CRIA_GPU::swiglu_forward(args, stream_);
  }
  void swiglu_backward(const SwigluBackward& args) override {
    const Op op("swiglu_backward",
                {args.gate_up_gradient, args.output, args.output_gradient, args.gate_up});
    CRIA_GPU::swiglu_backward(args, stream_);
  }

  size_t token_logprob_workspace_bytes(int64_t tokens, int64_t hidden_size, int64_t vocab_size,
                                       DType dtype) override {
    return CRIA_GPU::token_logprob_workspace_bytes(tokens, hidden_size, vocab_size, dtype);
  }
  void token_logprob_forward(const TokenLogprobForward& args) override {
    const Op op("token_logprob_forward",
                {args.logprobs, args.entropies, args.predictions, args.hidden, args.head.values,
                 args.targets, args.workspace});
    CRIA_GPU::token_logprob_forward(args, stream_);
  }
  void token_logprob_backward(const TokenLogprobBackward& args) override {
    const Op op("token_logprob_backward",
                {args.hidden_gradient, args.head_gradient, args.hidden, args.head.values,
                 args.targets, args.logprob_gradients, args.workspace});
    CRIA_GPU::token_logprob_backward(args, stream_);
  }
  void token_logprob_fused(const TokenLogprobFused& args) override {
    const Op op(
        "token_logprob_fused",
        {args.logprobs, args.entropies, args.predictions, args.hidden_gradient, args.head_gradient,
         args.hidden, args.head.values, args.targets, args.logprob_gradients, args.workspace});
    CRIA_GPU::token_logprob_fused(args, stream_);
  }

  void score_head_forward(const ScoreHeadForward& args) override {
    const Op op("score_head_forward", {args.scores, args.hidden, args.weight, args.rows});
    CRIA_GPU::score_head_forward(args, stream_);
  }
  size_t score_head_backward_workspace_bytes(int64_t tokens, int64_t hidden_size) override {
    return CRIA_GPU::score_head_backward_workspace_bytes(tokens, hidden_size);
  }
  void score_head_backward(const ScoreHeadBackward& args) override {
    const Op op("score_head_backward",
                {args.hidden_gradient, args.weight_gradient, args.score_gradients, args.hidden,
                 args.weight, args.rows, args.workspace});
    CRIA_GPU::score_head_backward(args, stream_);
  }

  void adamw(const AdamW& args) override {
    const Op op("adamw", {args.parameters, args.compute_copy, args.first_moment, args.second_moment,
                          args.gradient});
    CRIA_GPU::adamw(args, stream_);
  }
  size_t sum_of_squares_workspace_bytes(int64_t elements) override {
    return CRIA_GPU::sum_of_squares_workspace_bytes(elements);
  }
  void sum_of_squares(const SumOfSquares& args) override {
    const Op op("sum_of_squares", {args.output, args.input, args.workspace});
    CRIA_GPU::sum_of_squares(args, stream_);
  }

  size_t sampling_workspace_bytes(int64_t rows, int64_t vocab_size) override {
    return CRIA_GPU::sampling_workspace_bytes(rows, vocab_size);
  }
  void sampling(const Sampling& args) override {
    const Op op("sampling", {args.tokens, args.logprobs, args.logits, args.temperatures, args.top_k,
                             args.top_p, args.keys, args.workspace});
    CRIA_GPU::sampling(args, stream_);
  }

  void use_attention(std::unique_ptr<LibraryAttention> attention) {
    attention_ = std::move(attention);
  }

 private:
  bool by_library(DType dtype) const { return attention_ && attention_->takes(dtype); }

  const Stream stream_ = stream();  // first of all: it chooses the GPU
  Staging& staging_ = Staging::of_process();
  std::unique_ptr<LibraryAttention> attention_;  // in the place of cria's own
};

}  // namespace

std::unique_ptr<Backend> make_backend() { return std::make_unique<GpuBackend>(); }

void use_attention(Backend& backend, std::unique_ptr<LibraryAttention> attention) {
  CRIA_ASSERT(backend.device() == CRIA_GPU::device());
  static_cast<GpuBackend&>(backend).use_attention(std::move(attention));
}

}  // namespace cria::CRIA_GPU
