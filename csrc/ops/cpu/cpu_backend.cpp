#include <omp.h>

#include "cria/core/parallel.h"

#include "cpu_ops.h"
#include "matrix_product.h"

namespace cria {

namespace {

class CpuBackend : public Backend {
 public:
  CpuBackend() { cpu::check_instruction_set(); }

  Device device() const override { return Device::cpu; }
  std::string description() const override {
    return fmt::format("cpu, {} thread{}, {}", thread_count(), thread_count() == 1 ? "" : "s",
                       cpu::instruction_set());
  }
  Memory& memory() override { return host_memory(); }
  void synchronize() override {}

  void copy_from_host(Tensor destination, const void* source) override {
    cpu::copy_from_host(destination, source);
  }
  void copy_to_host(void* destination, Tensor source) override {
    cpu::copy_to_host(destination, source);
  }
  void copy(Tensor destination, Tensor source) override { cpu::copy(destination, source); }
  void cast(Tensor destination, Tensor source) override { cpu::cast(destination, source); }
  void zero(Tensor destination) override { cpu::zero(destination); }
  void embedding_forward(const EmbeddingForward& args) override { cpu::embedding_forward(args); }
  size_t embedding_backward_workspace_bytes(int64_t tokens, int64_t vocab_size) override {
    return cpu::embedding_backward_workspace_bytes(tokens, vocab_size);
  }
  void embedding_backward(const EmbeddingBackward& args) override { cpu::embedding_backward(args); }
  void rmsnorm_forward(const RmsNormForward& args) override { cpu::rmsnorm_forward(args); }
  size_t rmsnorm_backward_workspace_bytes(int64_t tokens, int64_t hidden_size) override {
    return cpu::rmsnorm_backward_workspace_bytes(tokens, hidden_size);
  }
  void rmsnorm_backward(const RmsNormBackward& args) override { cpu::rmsnorm_backward(args); }
  size_t linear_packed_bytes(Tensor values, LinearUse use) override {
    return cpu::linear_packed_bytes(values, use);
  }
  // Measured on two threads: in bf16 forward products on packed weights are a fifth faster, which
  // pays for packing after each update, and more where generation reads them many times. Backward
  // ones gain less than packing costs, but on AMX. In fp32 neither gains 3%.
  bool packing_pays_in_training(DType dtype, LinearUse use) const override {
    return dtype == DType::bf16 && (use == LinearUse::forward || cpu::has_tile_products());
  }
  void linear_pack(const LinearPack& args) override { cpu::linear_pack(args); }
  void linear_forward(const LinearForward& args) override { cpu::linear_forward(args); }
  void linear_backward_input(const LinearBackwardInput& args) override {
    cpu::linear_backward_input(args);
  }
  void linear_backward_weight(const LinearBackwardWeight& args) override {
    cpu::linear_backward_weight(args);
  }
  void rope_forward(const RopeForward& args) override { cpu::rope_forward(args); }
  void rope_backward(const RopeBackward& args) override { cpu::rope_backward(args); }
  size_t attention_workspace_bytes(int64_t tokens, int n_heads, int n_kv_heads, int head_dim,
                                   DType dtype) override {
    return cpu::attention_workspace_bytes(tokens, n_heads, n_kv_heads, head_dim, dtype);
  }
  void attention_forward(const AttentionForward& args) override { cpu::attention_forward(args); }
  size_t attention_backward_workspace_bytes(int64_t tokens, int n_heads, int n_kv_heads,
                                            int head_dim, DType dtype) override {
    return cpu::attention_backward_workspace_bytes(tokens, n_heads, n_kv_heads, head_dim, dtype);
  }
  void attention_backward(const AttentionBackward& args) override { cpu::attention_backward(args); }
  void attention_maxima(const AttentionMaxima& args) override { cpu::attention_maxima(args); }
  void kv_cache_write(const KvCacheWrite& args) override { cpu::kv_cache_write(args); }
  size_t decode_attention_workspace_bytes(int64_t rows, int64_t max_context, int n_heads,
                                          int head_dim) override {
    return cpu::decode_attention_workspace_bytes(rows, max_context, n_heads, head_dim);
  }
  void decode_attention(const DecodeAttention& args) override { cpu::decode_attention(args); }
  void swiglu_forward(const SwigluForward& args) override { cpu::swiglu_forward(args); }
  void swiglu_backward(const SwigluBackward& args) override { cpu::swiglu_backward(args); }
  size_t token_logprob_workspace_bytes(int64_t tokens, int64_t hidden_size, int64_t vocab_size,
                                       DType dtype) override {
    return cpu::token_logprob_workspace_bytes(tokens, hidden_size, vocab_size, dtype);
  }
  void token_logprob_forward(const TokenLogprobForward& args) override {
    cpu::token_logprob_forward(args);
  }
  void token_logprob_backward(const TokenLogprobBackward& args) override {
    cpu::token_logprob_backward(args);
  }
  void token_logprob_fused(const TokenLogprobFused& args) override {
    cpu::token_logprob_fused(args);
  }
  void score_head_forward(const ScoreHeadForward& args) override { cpu::score_head_forward(args); }
  size_t score_head_backward_workspace_bytes(int64_t tokens, int64_t hidden_size) override {
    return cpu::score_head_backward_workspace_bytes(tokens, hidden_size);
  }
  void score_head_backward(const ScoreHeadBackward& args) override {
    cpu::score_head_backward(args);
  }
  void adamw(const AdamW& args) override { cpu::adamw(args); }
  size_t sum_of_squares_workspace_bytes(int64_t elements) override {
    return cpu::sum_of_squares_workspace_bytes(elements);
  }
  void sum_of_squares(const SumOfSquares& args) override { cpu::sum_of_squares(args); }
  size_t sampling_workspace_bytes(int64_t rows, int64_t vocab_size) override {
    return cpu::sampling_workspace_bytes(rows, vocab_size);
  }
  void sampling(const Sampling& args) override { cpu::sampling(args); }
};

}  // namespace

std::unique_ptr<Backend> make_cpu_backend() { return std::make_unique<CpuBackend>(); }

}  // namespace cria
