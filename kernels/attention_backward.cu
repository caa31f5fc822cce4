// Attention of packed sequences, backward, in three kernels without atomics:
//   1. D = sum(output_gradient * output) of every row and head, into the workspace;
//   2. dk and dv: a block takes a tile of keys of one key/value head and goes over the heads of its
//      group and the queries from the diagonal on, in that order;
//   3. dq: a block takes a tile of queries and goes over the keys up to the diagonal.
// Kernels 2 and 3 both compute the scores and do v^T: seven products where one kernel would need
// five, but one kernel would have to add up dq from all key tiles, by atomics in no fixed order or
// through partial sums as large as T^2 / 64 rows.
//
// Kernels 2 and 3 are in attention_backward_keys.cu and attention_backward_queries.cu in bf16, on
// tensor cores, and in attention_backward_plain.cu in fp32, on plain multiply-adds. Those of bf16
// also take dq and dk back through the rotary embedding, in registers, where a head fills its tile
// and a lane so holds both elements of a pair; elsewhere rope.cu does in a pass of its own.
#include "kernels/attention_backward.h"
#include "kernels/device/access_width.h"
#include "kernels/ops.h"

namespace cria::CRIA_GPU {

namespace {

using namespace attention;

constexpr int kDotLanes = 8;  // per row and head
constexpr int kDotThreads = 256;

template <typename T>
__global__ void __launch_bounds__(kDotThreads) dot_kernel(BackwardParameters<T> p) {
  constexpr int kWidth = kVectorWidth<T>;
  const int64_t thread = int64_t{blockIdx.x} * kDotThreads + threadIdx.x;
  const int64_t item = thread / kDotLanes;  // row n_heads + head
  const int64_t offset = item * p.head_dim;
  float sum = 0.0f;
  if (item < p.tokens * p.n_heads) {
    for (int column = static_cast<int>(thread % kDotLanes) * kWidth; column < p.head_dim;
         column += kDotLanes * kWidth) {
      const auto a =
          load_columns<kWidth>(p.output_gradient + offset, column, p.head_dim, p.vectorized);
      const auto b = load_columns<kWidth>(p.output + offset, column, p.head_dim, p.vectorized);
#pragma unroll
      for (int i = 0; i < kWidth; ++i) sum += a[i] * b[i];
    }
  }
  sum = warp_sum<kDotLanes>(sum);
  if (item < p.tokens * p.n_heads && thread % kDotLanes == 0) {
    p.dot[item % p.n_heads * p.tokens + item / p.n_heads] = sum;
  }
}

}  // namespace

size_t attention_backward_workspace_bytes(int64_t tokens, int n_heads, int, int head_dim, DType) {
  check_head_dim(head_dim);
  return static_cast<size_t>(tokens * n_heads) * sizeof(float);
}

void attention_backward(const AttentionBackward& args, Stream stream) {
  const int64_t tokens = args.qkv.shape[0];
  if (tokens == 0) return;
  const int64_t sequences = args.sequence_offsets.shape[0] - 1;
  const int head_dim = static_cast<int>(args.output.shape[1] / args.n_heads);
  CRIA_ASSERT(args.workspace.bytes() >=
              attention_backward_workspace_bytes(tokens, args.n_heads, args.n_kv_heads, head_dim,
                                                 args.qkv.dtype));
  // The kernels of bf16 turn heads that fill their tiles.
  bool turned_by_kernels = false;
  visit_head_dim(head_dim, [&]<int kHeadDim>() {
    turned_by_kernels = args.rope_table && args.qkv.dtype == DType::bf16 && head_dim == kHeadDim &&
                        aligned_to_vectors(args.rope_table.data);
  });
  visit_dtype(args.qkv.dtype, [&]<typename T>() {
    const BackwardParameters<T> parameters{
        .qkv_gradient = args.qkv_gradient.as<T>(),
        .output_gradient = args.output_gradient.as<T>(),
        .output = args.output.as<T>(),
        .log_sum_exp = args.log_sum_exp.as<float>(),
        .qkv = args.qkv.as<T>(),
        .sequence_offsets = args.sequence_offsets.as<int32_t>(),
        .positions = turned_by_kernels ? args.positions.as<int32_t>() : nullptr,
        .rope_table = turned_by_kernels ? args.rope_table.as<float>() : nullptr,
        .dot = static_cast<float*>(args.workspace.data),
        .sequences = static_cast<int>(sequences),
        .tokens = tokens,
        .n_heads = args.n_heads,
        .n_kv_heads = args.n_kv_heads,
        .head_dim = head_dim,
        .group = args.n_heads / args.n_kv_heads,
        .qkv_stride = static_cast<int>(args.qkv.shape[1]),
        .output_stride = static_cast<int>(args.output.shape[1]),
        .scale = args.scale,
        .vectorized =
            head_dim % (16 / static_cast<int>(sizeof(T))) == 0 &&
            aligned_to_vectors(args.qkv.data) && aligned_to_vectors(args.qkv_gradient.data) &&
            aligned_to_vectors(args.output.data) && aligned_to_vectors(args.output_gradient.data)};
    launch(dot_kernel<T>, flat_grid<kDotThreads>(tokens * args.n_heads * kDotLanes), kDotThreads, 0,
           stream, parameters);
    if constexpr (std::is_same_v<T, bf16>) {
      backward_keys(parameters, stream);
      backward_queries(parameters, stream);
    } else {
      backward_plain(parameters, stream);
    }
  });
  if (args.rope_table && !turned_by_kernels) {
    rope_backward({.qkv_gradient = args.qkv_gradient,
                   .positions = args.positions,
                   .table = args.rope_table,
                   .n_heads = args.n_heads,
                   .n_kv_heads = args.n_kv_heads},
                  stream);
  }
}

}  // namespace cria::CRIA_GPU
