#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <map>
#include <tuple>
#include <unordered_map>

#define NV_CUDNN_FRONTEND_USE_DYNAMIC_LOADING
#include <cudnn_frontend.h>

#include "kernels/ops.h"
#include "kernels/ragged_layout.h"
#include "kernels/runtime/check.h"
#include "kernels/runtime/cudnn_attention.h"
#include "kernels/runtime/cudnn_library.h"
#include "kernels/runtime/platform.h"
#include "kernels/runtime/shared_library.h"

// What the frontend finds cuDNN's functions in (its dynamic loading).
namespace cudnn_frontend {
void* cudnn_dlhandle = nullptr;
}

namespace cria::cuda {

namespace {

namespace fe = cudnn_frontend;
using fe::graph::Tensor_attributes;
using TensorOfGraph = std::shared_ptr<Tensor_attributes>;

void check_graph(fe::error_t status, const char* call, const char* file, int line) {
  if (status.is_good()) return;
  throw failure(fmt::format("cuDNN's attention: {} ({}:{})", call, file, line),
                status.get_message(), "set training.attention to native");
}
#define CRIA_CUDNN_GRAPH(call) check_graph(call, #call, __FILE__, __LINE__)

// What a graph is built for.
struct GraphShape {
  bool backward = false;
  int64_t sequences = 1;
  int64_t length = 1;  // of the longest sequence
  int64_t tokens = 1;
  int n_heads = 1;
  int n_kv_heads = 1;
  int head_dim = 1;

  int64_t qkv_columns() const { return int64_t{n_heads + 2 * n_kv_heads} * head_dim; }
  int64_t output_columns() const { return int64_t{n_heads} * head_dim; }
  bool operator<(const GraphShape& other) const { return key() < other.key(); }

 private:
  std::tuple<bool, int64_t, int64_t, int64_t, int, int, int> key() const {
    return {backward, sequences, length, tokens, n_heads, n_kv_heads, head_dim};
  }
};

int64_t round_up(int64_t count) {
  return static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(std::max<int64_t>(count, 1))));
}

// Names of a graph's tensors.
enum Id : int64_t {
  kQ = 1,
  kK,
  kV,
  kOutput,
  kLogSumExp,
  kOutputGradient,
  kQGradient,
  kKGradient,
  kVGradient,
  kQkvOffsetsQ,
  kQkvOffsetsK,
  kQkvOffsetsV,
  kOutputOffsets,
  kHeadOffsets,
  kLengthsQ,
  kLengthsKv,
  kScale,
};

class AttentionGraph {
 public:
  AttentionGraph(const GraphShape& shape, cudnnHandle_t handle) : shape_(shape) {
    graph_.set_io_data_type(fe::DataType_t::BFLOAT16)
        .set_intermediate_data_type(fe::DataType_t::FLOAT)
        .set_compute_data_type(fe::DataType_t::FLOAT);
    shape.backward ? add_backward() : add_forward();
    CRIA_CUDNN_GRAPH(graph_.validate());
    CRIA_CUDNN_GRAPH(graph_.build_operation_graph(handle));
    CRIA_CUDNN_GRAPH(graph_.create_execution_plans({fe::HeurMode_t::A}));
    CRIA_CUDNN_GRAPH(graph_.check_support());
    CRIA_CUDNN_GRAPH(graph_.build_plans(fe::BuildPlanPolicy_t::HEURISTICS_CHOICE));
    CRIA_CUDNN_GRAPH(graph_.get_workspace_size(workspace_bytes_));
  }

  size_t workspace_bytes() const { return static_cast<size_t>(workspace_bytes_); }

  void run(cudnnHandle_t handle, std::unordered_map<int64_t, void*>& tensors, void* workspace) {
    CRIA_CUDNN_GRAPH(graph_.execute(handle, tensors, workspace));
  }

 private:
  TensorOfGraph integers(Id id, int64_t count) {
    return graph_.tensor(Tensor_attributes()
                             .set_uid(id)
                             .set_dim({count, 1, 1, 1})
                             .set_stride({1, 1, 1, 1})
                             .set_data_type(fe::DataType_t::INT32));
  }

  // Heads of a tensor of the pack whose rows have `columns` elements: [B, heads, length, D].
  Tensor_attributes heads(Id id, int count, int64_t columns, const TensorOfGraph& offsets) const {
    return Tensor_attributes()
        .set_uid(id)
        .set_dim({shape_.sequences, count, shape_.length, shape_.head_dim})
        .set_stride({shape_.length * columns, shape_.head_dim, columns, 1})
        .set_ragged_offset(offsets);
  }
  Tensor_attributes log_sum_exp(const TensorOfGraph& offsets) const {
    return Tensor_attributes()
        .set_uid(kLogSumExp)
        .set_dim({shape_.sequences, shape_.n_heads, shape_.length, 1})
        .set_stride({shape_.length * shape_.n_heads, 1, shape_.n_heads, 1})
        .set_ragged_offset(offsets)
        .set_data_type(fe::DataType_t::FLOAT);
  }

  struct Inputs {
    TensorOfGraph q_offsets, k_offsets, v_offsets, output_offsets, head_offsets, q_lengths,
        kv_lengths, scale, q, k, v;
  };
  Inputs inputs() {
    const int64_t B = shape_.sequences;
    Inputs in{.q_offsets = integers(kQkvOffsetsQ, B + 1),
              .k_offsets = integers(kQkvOffsetsK, B + 1),
              .v_offsets = integers(kQkvOffsetsV, B + 1),
              .output_offsets = integers(kOutputOffsets, B + 1),
              .head_offsets = integers(kHeadOffsets, B + 1),
              .q_lengths = integers(kLengthsQ, B),
              .kv_lengths = integers(kLengthsKv, B)};
    in.scale = graph_.tensor(Tensor_attributes()
                                 .set_uid(kScale)
                                 .set_dim({1, 1, 1, 1})
                                 .set_stride({1, 1, 1, 1})
                                 .set_is_pass_by_value(true)
                                 .set_data_type(fe::DataType_t::FLOAT));
    const int64_t columns = shape_.qkv_columns();
    in.q = graph_.tensor(heads(kQ, shape_.n_heads, columns, in.q_offsets));
    in.k = graph_.tensor(heads(kK, shape_.n_kv_heads, columns, in.k_offsets));
    in.v = graph_.tensor(heads(kV, shape_.n_kv_heads, columns, in.v_offsets));
    return in;
  }

  // What both directions say of the sequences.
  template <typename Attributes>
  static Attributes causal_pack(const Inputs& in) {
    return Attributes()
        .set_attn_scale(in.scale)
        .set_padding_mask(true)
        .set_seq_len_q(in.q_lengths)
        .set_seq_len_kv(in.kv_lengths)
        .set_diagonal_alignment(fe::DiagonalAlignment_t::TOP_LEFT)
        .set_diagonal_band_right_bound(0);
  }

  void become_output(const TensorOfGraph& tensor, Tensor_attributes as) {
    tensor->set_output(true)
        .set_uid(as.get_uid())
        .set_dim(as.get_dim())
        .set_stride(as.get_stride())
        .set_ragged_offset(as.get_ragged_offset());
  }

  void add_forward() {
    const Inputs in = inputs();
    auto attributes = causal_pack<fe::graph::SDPA_attributes>(in);
    attributes.set_generate_stats(true);
    const auto [output, stats] = graph_.sdpa(in.q, in.k, in.v, attributes);
    become_output(output,
                  heads(kOutput, shape_.n_heads, shape_.output_columns(), in.output_offsets));
    become_output(stats, log_sum_exp(in.head_offsets));
    stats->set_data_type(fe::DataType_t::FLOAT);
  }

  void add_backward() {
    const Inputs in = inputs();
    const int64_t columns = shape_.output_columns();
    const TensorOfGraph output =
        graph_.tensor(heads(kOutput, shape_.n_heads, columns, in.output_offsets));
    const TensorOfGraph gradient =
        graph_.tensor(heads(kOutputGradient, shape_.n_heads, columns, in.output_offsets));
    const TensorOfGraph stats = graph_.tensor(log_sum_exp(in.head_offsets));
    auto attributes = causal_pack<fe::graph::SDPA_backward_attributes>(in);
    attributes.set_deterministic_algorithm(true)
        .set_max_total_seq_len_q(shape_.tokens)
        .set_max_total_seq_len_kv(shape_.tokens);
    const auto [dq, dk, dv] =
        graph_.sdpa_backward(in.q, in.k, in.v, output, gradient, stats, attributes);
    become_output(dq, heads(kQGradient, shape_.n_heads, shape_.qkv_columns(), in.q_offsets));
    become_output(dk, heads(kKGradient, shape_.n_kv_heads, shape_.qkv_columns(), in.k_offsets));
    become_output(dv, heads(kVGradient, shape_.n_kv_heads, shape_.qkv_columns(), in.v_offsets));
  }

  const GraphShape shape_;
  fe::graph::Graph graph_;
  int64_t workspace_bytes_ = 0;
};

// Of the workspace: what ragged_layout writes, then cuDNN's own.
struct Scratch {
  Tensor qkv_offsets, output_offsets, head_offsets, lengths;  // [B + 1], the last [B]; i32
  std::byte* rest = nullptr;

  static size_t layout_bytes(int64_t sequences) { return 4 * part_bytes(sequences); }

  Scratch(Tensor workspace, int64_t sequences) {
    auto* next = static_cast<std::byte*>(workspace.data);
    for (Tensor* tensor : {&qkv_offsets, &output_offsets, &head_offsets, &lengths}) {
      *tensor = {.data = next,
                 .dtype = DType::i32,
                 .shape = {tensor == &lengths ? sequences : sequences + 1},
                 .device = Device::cuda};
      next += part_bytes(sequences);
    }
    rest = next;
  }

 private:
  static size_t part_bytes(int64_t sequences) {
    return (static_cast<size_t>(sequences + 1) * sizeof(int32_t) + 255) / 256 * 256;
  }
};

class CudnnAttention : public LibraryAttention {
 public:
  CudnnAttention() {
    CRIA_CUDNN(cudnnCreate(&handle_));
    CRIA_CUDNN(cudnnSetStream(handle_, stream()));
  }
  ~CudnnAttention() override { cudnn().cudnnDestroy(handle_); }

  bool takes(DType dtype) const override { return dtype == DType::bf16; }

  size_t forward_workspace_bytes(int64_t tokens, int n_heads, int n_kv_heads,
                                 int head_dim) override {
    return workspace_bytes({.tokens = round_up(tokens),
                            .n_heads = n_heads,
                            .n_kv_heads = n_kv_heads,
                            .head_dim = head_dim});
  }
  size_t backward_workspace_bytes(int64_t tokens, int n_heads, int n_kv_heads,
                                  int head_dim) override {
    return workspace_bytes({.backward = true,
                            .tokens = round_up(tokens),
                            .n_heads = n_heads,
                            .n_kv_heads = n_kv_heads,
                            .head_dim = head_dim});
  }

  void forward(const AttentionForward& args) override {
    std::unordered_map<int64_t, void*> tensors = {{kOutput, args.output.data},
                                                  {kLogSumExp, args.log_sum_exp.data}};
    run(args, false, tensors);
  }

  void backward(const AttentionBackward& args) override {
    std::unordered_map<int64_t, void*> tensors = {{kOutput, args.output.data},
                                                  {kLogSumExp, args.log_sum_exp.data},
                                                  {kOutputGradient, args.output_gradient.data}};
    add_heads(tensors, {kQGradient, kKGradient, kVGradient}, args.qkv_gradient, args);
    run(args, true, tensors);
    if (!args.rope_table) return;
    rope_backward({.qkv_gradient = args.qkv_gradient,
                   .positions = args.positions,
                   .table = args.rope_table,
                   .n_heads = args.n_heads,
                   .n_kv_heads = args.n_kv_heads},
                  stream());
  }

 private:
  // Few long sequences and many short ones; what a pack in between needs more is an error of that
  // pass.
  size_t workspace_bytes(GraphShape shape) {
    size_t bytes = 0;
    for (const int64_t length : {shape.tokens, std::min<int64_t>(shape.tokens, 128)}) {
      shape.length = length;
      shape.sequences = shape.tokens / length;
      bytes = std::max(bytes, graph_of(shape).workspace_bytes());
    }
    // Every token may be a sequence of its own, with empty ones between them.
    return Scratch::layout_bytes(2 * shape.tokens) + bytes;
  }

  AttentionGraph& graph_of(const GraphShape& shape) {
    std::unique_ptr<AttentionGraph>& graph = graphs_[shape];
    if (!graph) graph = std::make_unique<AttentionGraph>(shape, handle_);
    return *graph;
  }

  template <typename Args>
  static void add_heads(std::unordered_map<int64_t, void*>& tensors, std::array<Id, 3> ids,
                        Tensor qkv, const Args& args) {
    const int64_t head_dim = qkv.shape[1] / (args.n_heads + 2 * args.n_kv_heads);
    auto* data = qkv.as<bf16>();
    tensors[ids[0]] = data;
    tensors[ids[1]] = data + args.n_heads * head_dim;
    tensors[ids[2]] = data + (args.n_heads + args.n_kv_heads) * head_dim;
  }

  template <typename Args>
  void run(const Args& args, bool backward, std::unordered_map<int64_t, void*>& tensors) {
    const int64_t tokens = args.qkv.shape[0];
    const int64_t columns = args.qkv.shape[1];
    CRIA_ASSERT(tokens * columns < (int64_t{1} << 31));  // offsets are i32
    const GraphShape shape{
        .backward = backward,
        .sequences = round_up(args.sequence_offsets.size() - 1),
        .length = std::max<int64_t>(round_up(args.max_sequence_length), 128),
        .tokens = round_up(tokens),
        .n_heads = args.n_heads,
        .n_kv_heads = args.n_kv_heads,
        .head_dim = static_cast<int>(columns / (args.n_heads + 2 * args.n_kv_heads))};
    AttentionGraph& graph = graph_of(shape);
    const size_t needed = Scratch::layout_bytes(shape.sequences) + graph.workspace_bytes();
    if (needed > args.workspace.bytes()) {
      throw failure("cuDNN's attention",
                    fmt::format("a pack of {} sequences of up to {} tokens needs {} of workspace, "
                                "{} were planned",
                                args.sequence_offsets.size() - 1, args.max_sequence_length,
                                format_bytes(needed), format_bytes(args.workspace.bytes())),
                    "set training.attention to native");
    }
    Scratch scratch(args.workspace, shape.sequences);
    ragged_layout({.qkv_offsets = scratch.qkv_offsets,
                   .output_offsets = scratch.output_offsets,
                   .head_offsets = scratch.head_offsets,
                   .lengths = scratch.lengths,
                   .sequence_offsets = args.sequence_offsets,
                   .qkv_columns = static_cast<int>(columns),
                   .output_columns = static_cast<int>(shape.output_columns()),
                   .n_heads = args.n_heads},
                  stream());
    float scale = args.scale;
    add_heads(tensors, {kQ, kK, kV}, args.qkv, args);
    for (const Id id : {kQkvOffsetsQ, kQkvOffsetsK, kQkvOffsetsV}) {
      tensors[id] = scratch.qkv_offsets.data;
    }
    tensors[kOutputOffsets] = scratch.output_offsets.data;
    tensors[kHeadOffsets] = scratch.head_offsets.data;
    tensors[kLengthsQ] = tensors[kLengthsKv] = scratch.lengths.data;
    tensors[kScale] = &scale;
    graph.run(handle_, tensors, scratch.rest);
  }

  cudnnHandle_t handle_ = nullptr;
  std::map<GraphShape, std::unique_ptr<AttentionGraph>> graphs_;
};

}  // namespace

std::unique_ptr<LibraryAttention> make_cudnn_attention() {
  fe::cudnn_dlhandle = cudnn().handle;
  // The frontend loads CUDA's runtime by itself, from the loader's path alone.
  const SharedLibrary runtime("CUDA's runtime",
                              fmt::format("libcudart.so.{}", CUDART_VERSION / 1000),
                              "install the CUDA Toolkit");
  setenv("CUDNN_FRONTEND_CUDART_LIB_NAME", runtime.place().c_str(), 0);
  // No gradients of all scores in memory: the ordered sum, on compute capability 9.0.
  setenv("CUDNN_FRONTEND_ATTN_DP_WORKSPACE_LIMIT", "0", 1);
  return std::make_unique<CudnnAttention>();
}

}  // namespace cria::cuda
