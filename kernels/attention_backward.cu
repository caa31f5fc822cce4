// Attention of packed sequences, backward, in three kernels without atomics:
//   1. D = sum(output_gradient * output) of every row and head, into the workspace;
//   2. dk and dv: a block takes a tile of keys of one key/value head and goes over the heads of its
//      group and the queries from the diagonal on, in that order;
//   3. dq: a block takes a tile of queries of one head and goes over the keys up to the diagonal.
// Kernels 2 and 3 both compute the scores and do v^T: seven products where one kernel would need
// five, but one kernel would have to add up dq from all key tiles, by atomics in no fixed order or
// through partial sums as large as T^2 / 64 rows.
//
// In kernel 2 the scores are computed transposed, [keys, queries], in kernel 3 as [queries, keys]:
// p and ds then are the left operands of what follows, straight from registers.
//   bf16: 64 rows, 16 a warp; products on tensor cores. Tiles of the other side arrive in two
//     alternating buffers while the tile before is computed with. Heads over 128 are computed in
//     two blocks of 128 columns of the gradient each.
//   fp32: plain multiply-adds, in attention_backward_plain.cu.
// Reads of q, k, v and do again per tile of the other side come mostly from L2; every gradient is
// written once.
#include "kernels/attention_backward.h"
#include "kernels/attention_tensor_cores.h"
#include "kernels/ops.h"

namespace cria::CRIA_GPU {

namespace {

using namespace attention;

// --- 1. D ---

constexpr int kDotLanes = 8;  // per row and head
constexpr int kDotThreads = 256;

template <typename T>
__global__ void __launch_bounds__(kDotThreads) dot_kernel(BackwardParameters<T> p) {
  const int64_t thread = int64_t{blockIdx.x} * kDotThreads + threadIdx.x;
  const int64_t item = thread / kDotLanes;  // row n_heads + head
  const int64_t offset = item * p.head_dim;
  float sum = 0.0f;
  if (item < p.tokens * p.n_heads) {
    for (int column = static_cast<int>(thread % kDotLanes) * 8; column < p.head_dim;
         column += kDotLanes * 8) {
      const auto a = load_columns<8>(p.output_gradient + offset, column, p.head_dim, p.vectorized);
      const auto b = load_columns<8>(p.output + offset, column, p.head_dim, p.vectorized);
#pragma unroll
      for (int i = 0; i < 8; ++i) sum += a[i] * b[i];
    }
  }
  sum = warp_sum<kDotLanes>(sum);
  if (item < p.tokens * p.n_heads && thread % kDotLanes == 0) {
    p.dot[item % p.n_heads * p.tokens + item / p.n_heads] = sum;
  }
}

// --- 2 and 3 in bf16 ---

template <int kHeadDim>
struct BackwardTiles {
  static constexpr int kOthers = kHeadDim <= 64 ? 64 : 32;  // rows of a tile of the other side
  static constexpr int kColumns = kHeadDim <= 128 ? kHeadDim : 128;
  static constexpr int kParts = kHeadDim / kColumns;
  static constexpr int kOwnElements = kBlockRows * kHeadDim;
  static constexpr int kOtherElements = kOthers * kHeadDim;
  static constexpr size_t kBytes = sizeof(bf16) * (2 * kOwnElements + 4 * kOtherElements);
  // Of the key kernel: log_sum_exp and D of the queries, in two buffers.
  static constexpr size_t kRowBytes = sizeof(float) * 4 * kOthers;

  bf16* shared;

  __device__ SwizzledTile<kHeadDim> own(int which) const { return {shared + which * kOwnElements}; }
  __device__ SwizzledTile<kHeadDim> other(int which, int buffer) const {
    return {shared + 2 * kOwnElements + (2 * buffer + which) * kOtherElements};
  }
  __device__ float* other_row(int which, int buffer) const {
    return reinterpret_cast<float*>(shared + 2 * kOwnElements + 4 * kOtherElements) +
           (2 * buffer + which) * kOthers;
  }
};

// Rows of the left operand that the warp owns.
template <int kHeadDim>
__device__ auto own_rows(SwizzledTile<kHeadDim> tile) {
  return [tile](uint32_t(&a)[4], int step) { load_left(a, tile, warp_index() * kWarpRows, step); };
}

template <int kHeadDim>
__global__ void __launch_bounds__(kThreads) tensor_core_key_kernel(BackwardParameters<bf16> p) {
  using Tiles = BackwardTiles<kHeadDim>;
  constexpr int kQueries = Tiles::kOthers;
  const int kv_head = static_cast<int>(blockIdx.x) % p.n_kv_heads;
  const int item = static_cast<int>(blockIdx.x) / p.n_kv_heads;
  const int part = item % Tiles::kParts;
  const RowTile place = find_tile<kBlockRows>(p.sequence_offsets, p.sequences, item / Tiles::kParts,
                                              /*last_first=*/false);
  if (place.rows == 0) return;

  const Tiles tiles{dynamic_shared<bf16>()};
  const int query_tiles = (place.sequence_length - place.first + kQueries - 1) / kQueries;
  const int steps = p.group() * query_tiles;
  const auto first_query = [&](int step) { return place.first + step % query_tiles * kQueries; };
  const auto load_queries = [&](int step) {
    const int head = kv_head * p.group() + step / query_tiles, buffer = step % 2;
    const int64_t row = place.sequence_begin + first_query(step);
    const int rows = place.sequence_length - first_query(step);
    load_tile<kQueries>(tiles.other(0, buffer), p.rows(row, rows, head));
    load_tile<kQueries>(tiles.other(1, buffer), p.output_gradient_rows(row, rows, head));
    const int query = static_cast<int>(threadIdx.x);
    if (query < kQueries) {  // any finite value does for queries that are not there
      const int64_t index = head * p.tokens + row + query;
      tiles.other_row(0, buffer)[query] = query < rows ? p.log_sum_exp[index] : 0.0f;
      tiles.other_row(1, buffer)[query] = query < rows ? p.dot[index] : 0.0f;
    }
  };

  const int64_t own_row = place.sequence_begin + place.first;
  load_tile<kBlockRows>(tiles.own(0), p.rows(own_row, place.rows, p.key_head(kv_head)));
  load_tile<kBlockRows>(tiles.own(1), p.rows(own_row, place.rows, p.value_head(kv_head)));
  load_queries(0);
  async_commit();

  const int warp_row = warp_index() * kWarpRows;
  float key_gradient[Tiles::kColumns / 8][4] = {};
  float value_gradient[Tiles::kColumns / 8][4] = {};
  for (int step = 0; step < steps; ++step) {
    if (step + 1 < steps) load_queries(step + 1);
    async_commit();
    async_wait<1>();
    __syncthreads();  // this step's queries have arrived
    const int buffer = step % 2;
    const auto query = tiles.other(0, buffer), output_gradient = tiles.other(1, buffer);
    const float* log_sum_exp = tiles.other_row(0, buffer);
    const float* dot = tiles.other_row(1, buffer);
    float weight[kQueries / 8][4] = {};
    float score_gradient[kQueries / 8][4] = {};
    multiply_rows(weight, query, own_rows(tiles.own(0)));
    multiply_rows(score_gradient, output_gradient, own_rows(tiles.own(1)));
    const int key = place.first + warp_row - first_query(step);  // counted from the first query
#pragma unroll
    for (int n = 0; n < kQueries / 8; ++n) {
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const int column = column_of(n, e);
        const bool visible = key + row_of(e) <= column;
        weight[n][e] = visible ? p.probability(weight[n][e], log_sum_exp[column]) : 0.0f;
        score_gradient[n][e] = weight[n][e] * (score_gradient[n][e] - dot[column]);
      }
    }
    const int first_chunk = part * Tiles::kColumns / 8;
    multiply_weights(value_gradient, weight, output_gradient, first_chunk);
    multiply_weights(key_gradient, score_gradient, query, first_chunk);
    __syncthreads();  // its buffers may be filled again
  }

  const int rows = place.rows - warp_row, first_column = part * Tiles::kColumns;
  const auto staging = [&](int which) {
    return SwizzledTile<Tiles::kColumns>{tiles.own(which).data + warp_row * kHeadDim};
  };
  store_rows(p.gradient_rows(own_row + warp_row, rows, p.key_head(kv_head), first_column),
             key_gradient, {p.scale, p.scale}, staging(0));
  store_rows(p.gradient_rows(own_row + warp_row, rows, p.value_head(kv_head), first_column),
             value_gradient, {1.0f, 1.0f}, staging(1));
}

template <int kHeadDim>
__global__ void __launch_bounds__(kThreads) tensor_core_query_kernel(BackwardParameters<bf16> p) {
  using Tiles = BackwardTiles<kHeadDim>;
  constexpr int kKeys = Tiles::kOthers;
  const int head = static_cast<int>(blockIdx.x) % p.n_heads;
  const int item = static_cast<int>(blockIdx.x) / p.n_heads;
  const int part = item % Tiles::kParts;
  const RowTile place = find_tile<kBlockRows>(p.sequence_offsets, p.sequences, item / Tiles::kParts,
                                              /*last_first=*/true);
  if (place.rows == 0) return;

  const Tiles tiles{dynamic_shared<bf16>()};
  const int key_end = place.first + place.rows;
  const int steps = (key_end + kKeys - 1) / kKeys;
  const int kv_head = head / p.group();
  const auto load_keys = [&](int step) {
    const int64_t row = place.sequence_begin + step * kKeys;
    const int rows = key_end - step * kKeys, buffer = step % 2;
    load_tile<kKeys>(tiles.other(0, buffer), p.rows(row, rows, p.key_head(kv_head)));
    load_tile<kKeys>(tiles.other(1, buffer), p.rows(row, rows, p.value_head(kv_head)));
  };

  const int64_t own_row = place.sequence_begin + place.first;
  load_tile<kBlockRows>(tiles.own(0), p.rows(own_row, place.rows, head));
  load_tile<kBlockRows>(tiles.own(1), p.output_gradient_rows(own_row, place.rows, head));
  load_keys(0);
  async_commit();

  const int warp_row = warp_index() * kWarpRows;
  const int rows = place.rows - warp_row;  // of this warp and those after it
  float log_sum_exp[2], dot[2];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int row = row_of(2 * half);
    const int64_t index = head * p.tokens + own_row + warp_row + row;
    log_sum_exp[half] = row < rows ? p.log_sum_exp[index] : 0.0f;
    dot[half] = row < rows ? p.dot[index] : 0.0f;
  }
  float query_gradient[Tiles::kColumns / 8][4] = {};
  for (int step = 0; step < steps; ++step) {
    if (step + 1 < steps) load_keys(step + 1);
    async_commit();
    async_wait<1>();
    __syncthreads();  // this step's keys have arrived
    const auto key = tiles.other(0, step % 2), value = tiles.other(1, step % 2);
    float weight[kKeys / 8][4] = {};
    float score_gradient[kKeys / 8][4] = {};
    multiply_rows(weight, key, own_rows(tiles.own(0)));
    multiply_rows(score_gradient, value, own_rows(tiles.own(1)));
    const int first_key = step * kKeys - place.first - warp_row;  // from the warp's first query
#pragma unroll
    for (int n = 0; n < kKeys / 8; ++n) {
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const bool visible = first_key + column_of(n, e) <= row_of(e);
        const float probability = visible ? p.probability(weight[n][e], log_sum_exp[e / 2]) : 0.0f;
        score_gradient[n][e] = probability * (score_gradient[n][e] - dot[e / 2]);
      }
    }
    multiply_weights(query_gradient, score_gradient, key, part * Tiles::kColumns / 8);
    __syncthreads();  // its buffers may be filled again
  }

  store_rows(p.gradient_rows(own_row + warp_row, rows, head, part * Tiles::kColumns),
             query_gradient, {p.scale, p.scale},
             SwizzledTile<Tiles::kColumns>{tiles.own(0).data + warp_row * kHeadDim});
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
  const auto blocks = [](int64_t count) { return dim3(static_cast<unsigned>(count)); };
  visit_dtype(args.qkv.dtype, [&]<typename T>() {
    const BackwardParameters<T> parameters{
        .qkv_gradient = args.qkv_gradient.as<T>(),
        .output_gradient = args.output_gradient.as<T>(),
        .output = args.output.as<T>(),
        .log_sum_exp = args.log_sum_exp.as<float>(),
        .qkv = args.qkv.as<T>(),
        .sequence_offsets = args.sequence_offsets.as<int32_t>(),
        .dot = static_cast<float*>(args.workspace.data),
        .sequences = static_cast<int>(sequences),
        .tokens = tokens,
        .n_heads = args.n_heads,
        .n_kv_heads = args.n_kv_heads,
        .head_dim = head_dim,
        .scale = args.scale,
        .vectorized =
            head_dim % (16 / static_cast<int>(sizeof(T))) == 0 &&
            aligned_to_vectors(args.qkv.data) && aligned_to_vectors(args.qkv_gradient.data) &&
            aligned_to_vectors(args.output.data) && aligned_to_vectors(args.output_gradient.data)};
    launch(dot_kernel<T>,
           blocks((tokens * args.n_heads * kDotLanes + kDotThreads - 1) / kDotThreads), kDotThreads,
           0, stream, parameters);
    if constexpr (std::is_same_v<T, bf16>) {
      visit_head_dim(head_dim, [&]<int kHeadDim>() {
        using Tiles = BackwardTiles<kHeadDim>;
        const int64_t items = tile_numbers<kBlockRows>(tokens, sequences) * Tiles::kParts;
        launch(tensor_core_key_kernel<kHeadDim>, blocks(items * args.n_kv_heads), kThreads,
               Tiles::kBytes + Tiles::kRowBytes, stream, parameters);
        launch(tensor_core_query_kernel<kHeadDim>, blocks(items * args.n_heads), kThreads,
               Tiles::kBytes, stream, parameters);
      });
    } else {
      backward_plain(parameters, stream);
    }
  });
}

}  // namespace cria::CRIA_GPU
