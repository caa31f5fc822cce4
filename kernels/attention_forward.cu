// Attention of packed sequences, forward: online softmax over tiles of keys (Dao, FlashAttention-2,
// 2023), never holding more than a tile of scores.
//
// A block takes a tile of query rows of one head and goes over the keys up to the diagonal; later
// tiles, which have more keys, come first. Blocks of the heads of one tile are neighbours, so that
// the heads of a group find their keys and values in the L2 cache.
//   bf16: 64 queries, 16 a warp; products on tensor cores. Tiles of keys and values arrive in two
//     alternating buffers while the tile before is computed with. Heads over 128 are computed in
//     two blocks of 128 columns of the output each.
//   fp32: 64 queries, or 32 of heads over 64; plain multiply-adds.
// Reads q once, k and v once for each tile of queries that sees them (mostly from L2); writes
// output and log_sum_exp once.
#include "kernels/attention_plain.h"
#include "kernels/attention_tensor_cores.h"
#include "kernels/ops.h"

namespace cria::CRIA_GPU {

namespace {

using namespace attention;

template <typename T>
struct Parameters {
  T* output;
  float* log_sum_exp;
  const T* qkv;
  const int32_t* sequence_offsets;
  int sequences;
  int64_t tokens;
  int n_heads;
  int n_kv_heads;
  int head_dim;
  float scale;
  bool vectorized;

  // Head `column` of qkv from the first column of the tile on, rows of one sequence.
  __device__ HeadRows<const T> rows(int64_t sequence_begin, int row, int row_count, int column,
                                    int first_column) const {
    const int64_t stride = int64_t{n_heads + 2 * n_kv_heads} * head_dim;
    return {qkv + (sequence_begin + row) * stride + int64_t{column} * head_dim + first_column,
            stride, row_count, head_dim - first_column, vectorized};
  }
  __device__ HeadRows<T> output_rows(int64_t row, int row_count, int head, int first_column) const {
    const int64_t stride = int64_t{n_heads} * head_dim;
    return {output + row * stride + int64_t{head} * head_dim + first_column, stride, row_count,
            head_dim - first_column, vectorized};
  }
  __device__ int key_head(int head) const { return n_heads + head / (n_heads / n_kv_heads); }
};

// Of kRows rows of queries, kLanes lanes a row. The sum is the lane's own part of it.
template <int kRows, int kLanes>
struct OnlineSoftmax {
  float maximum[kRows];
  float sum[kRows];

  __device__ OnlineSoftmax() {
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      maximum[r] = -INFINITY;
      sum[r] = 0.0f;
    }
  }

  // The lane's largest score of row r; returns what earlier results must be multiplied by. The
  // first tile has a key for every row, so the maximum is finite from then on.
  __device__ float raise(int r, float largest, float scale) {
    const float before = maximum[r];
    maximum[r] = fmaxf(before, warp_max<kLanes>(largest));
    const float correction = fast_exp2((before - maximum[r]) * (scale * kLog2E));
    sum[r] *= correction;
    return correction;
  }
  __device__ float weight(int r, float score, float scale) {
    const float result = fast_exp2((score - maximum[r]) * (scale * kLog2E));
    sum[r] += result;
    return result;
  }
  __device__ void finish() {
#pragma unroll
    for (int r = 0; r < kRows; ++r) sum[r] = warp_sum<kLanes>(sum[r]);
  }
  __device__ float log_sum_exp(int r, float scale) const {
    return maximum[r] * scale + logf(sum[r]);
  }
};

template <int kHeadDim>
struct ForwardTiles {
  static constexpr int kKeys = kHeadDim <= 128 ? 64 : 32;
  static constexpr int kColumns = kHeadDim <= 128 ? kHeadDim : 128;
  static constexpr int kParts = kHeadDim / kColumns;
  static constexpr int kQueryElements = kBlockRows * kHeadDim;
  static constexpr int kKeyElements = kKeys * kHeadDim;
  static constexpr int kValueElements = kKeys * kColumns;
  static constexpr size_t kBytes =
      sizeof(bf16) * (kQueryElements + 2 * (kKeyElements + kValueElements));
};

// Scores of a tile to weights of the values, with the output brought to the new maximum. `key` is
// the tile's first key counted from the warp's first query.
template <int kKeyTiles, int kColumnTiles>
__device__ void weigh_keys(float (&scores)[kKeyTiles][4], float (&output)[kColumnTiles][4],
                           OnlineSoftmax<2, 4>& softmax, int key, float scale) {
  if (key + 8 * kKeyTiles > 1) {  // some keys come after the warp's first query
#pragma unroll
    for (int n = 0; n < kKeyTiles; ++n) {
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        if (key + column_of(n, e) > row_of(e)) scores[n][e] = -INFINITY;
      }
    }
  }
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    float largest = -INFINITY;
#pragma unroll
    for (int n = 0; n < kKeyTiles; ++n) {
      largest = fmaxf(largest, fmaxf(scores[n][2 * half], scores[n][2 * half + 1]));
    }
    const float correction = softmax.raise(half, largest, scale);
#pragma unroll
    for (int n = 0; n < kColumnTiles; ++n) {
      output[n][2 * half] *= correction;
      output[n][2 * half + 1] *= correction;
    }
#pragma unroll
    for (int n = 0; n < kKeyTiles; ++n) {
#pragma unroll
      for (int e = 2 * half; e < 2 * half + 2; ++e) {
        scores[n][e] = softmax.weight(half, scores[n][e], scale);
      }
    }
  }
}

template <int kHeadDim>
__global__ void __launch_bounds__(kThreads) tensor_core_kernel(Parameters<bf16> p) {
  using Tiles = ForwardTiles<kHeadDim>;
  const int head = static_cast<int>(blockIdx.x) % p.n_heads;
  const int item = static_cast<int>(blockIdx.x) / p.n_heads;
  const int part = item % Tiles::kParts;
  const RowTile place = find_tile<kBlockRows>(p.sequence_offsets, p.sequences, item / Tiles::kParts,
                                              /*last_first=*/true);
  if (place.rows == 0) return;

  bf16* const shared = dynamic_shared<bf16>();
  const SwizzledTile<kHeadDim> query{shared};
  bf16* const keys = shared + Tiles::kQueryElements;
  bf16* const values = keys + 2 * Tiles::kKeyElements;
  const int key_end = place.first + place.rows;
  const int tiles = (key_end + Tiles::kKeys - 1) / Tiles::kKeys;
  const auto load_keys = [&](int tile) {
    const int first = tile * Tiles::kKeys;
    const int column = p.key_head(head), buffer = tile % 2;
    load_tile<Tiles::kKeys>(SwizzledTile<kHeadDim>{keys + buffer * Tiles::kKeyElements},
                            p.rows(place.sequence_begin, first, key_end - first, column, 0));
    load_tile<Tiles::kKeys>(SwizzledTile<Tiles::kColumns>{values + buffer * Tiles::kValueElements},
                            p.rows(place.sequence_begin, first, key_end - first,
                                   column + p.n_kv_heads, part * Tiles::kColumns));
  };

  load_tile<kBlockRows>(query, p.rows(place.sequence_begin, place.first, place.rows, head, 0));
  load_keys(0);
  async_commit();

  const int warp_row = warp_index() * kWarpRows;
  uint32_t query_fragments[kHeadDim / 16][4];
  OnlineSoftmax<2, 4> softmax;
  float output[Tiles::kColumns / 8][4] = {};
  for (int tile = 0; tile < tiles; ++tile) {
    if (tile + 1 < tiles) load_keys(tile + 1);
    async_commit();
    async_wait<1>();
    __syncthreads();  // this tile has arrived
    if (tile == 0) {
#pragma unroll
      for (int step = 0; step < kHeadDim / 16; ++step) {
        load_left(query_fragments[step], query, warp_row, step);
      }
    }
    float scores[Tiles::kKeys / 8][4] = {};
    multiply_rows(scores, SwizzledTile<kHeadDim>{keys + tile % 2 * Tiles::kKeyElements},
                  [&](uint32_t(&a)[4], int step) {
#pragma unroll
                    for (int i = 0; i < 4; ++i) a[i] = query_fragments[step][i];
                  });
    weigh_keys(scores, output, softmax, tile * Tiles::kKeys - place.first - warp_row, p.scale);
    multiply_weights(output, scores,
                     SwizzledTile<Tiles::kColumns>{values + tile % 2 * Tiles::kValueElements}, 0);
    __syncthreads();  // its buffers may be filled again
  }

  softmax.finish();
  const int64_t row = place.sequence_begin + place.first + warp_row;
  const int rows = place.rows - warp_row;  // of this warp and those after it
  if (part == 0 && lane() % 4 == 0) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      if (row_of(2 * half) >= rows) continue;
      p.log_sum_exp[head * p.tokens + row + row_of(2 * half)] = softmax.log_sum_exp(half, p.scale);
    }
  }
  store_rows(p.output_rows(row, rows, head, part * Tiles::kColumns), output,
             {1.0f / softmax.sum[0], 1.0f / softmax.sum[1]},
             SwizzledTile<Tiles::kColumns>{query.data + warp_row * kHeadDim});
}

template <int kHeadDim>
constexpr size_t kPlainBytes = sizeof(float) * (3 * PlainTile<kHeadDim>::kElements +
                                                PlainTile<kHeadDim>::kWeightElements);

template <int kHeadDim>
__global__ void __launch_bounds__(kPlainThreads) plain_kernel(Parameters<float> p) {
  using Tile = PlainTile<kHeadDim>;
  const int head = static_cast<int>(blockIdx.x) % p.n_heads;
  const RowTile place =
      find_tile<Tile::kRows>(p.sequence_offsets, p.sequences,
                             static_cast<int>(blockIdx.x) / p.n_heads, /*last_first=*/true);
  if (place.rows == 0) return;

  float* const query = dynamic_shared<float>();
  float* const key = query + Tile::kElements;
  float* const value = key + Tile::kElements;
  float* const weights = value + Tile::kElements;
  Tile::load(query, p.rows(place.sequence_begin, place.first, place.rows, head, 0));

  OnlineSoftmax<Tile::kMicro, kSide> softmax;
  typename Tile::Columns output = {};
  const int key_end = place.first + place.rows;
  for (int first = 0; first < key_end; first += Tile::kRows) {
    const int column = p.key_head(head), rows = key_end - first;
    __syncthreads();  // the tiles before have been read
    Tile::load(key, p.rows(place.sequence_begin, first, rows, column, 0));
    Tile::load(value, p.rows(place.sequence_begin, first, rows, column + p.n_kv_heads, 0));
    __syncthreads();
    typename Tile::Scores scores;
    Tile::multiply(scores, query, key);
#pragma unroll
    for (int i = 0; i < Tile::kMicro; ++i) {
      float largest = -INFINITY;
#pragma unroll
      for (int j = 0; j < Tile::kMicro; ++j) {
        if (first + Tile::column(j) > place.first + Tile::row(i)) scores[i][j] = -INFINITY;
        largest = fmaxf(largest, scores[i][j]);
      }
      const float correction = softmax.raise(i, largest, p.scale);
#pragma unroll
      for (int j = 0; j < Tile::kColumns; ++j) output[i][j] *= correction;
#pragma unroll
      for (int j = 0; j < Tile::kMicro; ++j) {
        scores[i][j] = softmax.weight(i, scores[i][j], p.scale);
      }
    }
    Tile::multiply_weights(output, scores, weights, value);
  }

  softmax.finish();
  const int64_t row = place.sequence_begin + place.first;
  float factor[Tile::kMicro];
#pragma unroll
  for (int i = 0; i < Tile::kMicro; ++i) {
    factor[i] = 1.0f / softmax.sum[i];
    if (thread_x() == 0 && Tile::row(i) < place.rows) {
      p.log_sum_exp[head * p.tokens + row + Tile::row(i)] = softmax.log_sum_exp(i, p.scale);
    }
  }
  Tile::store_rows(p.output_rows(row, place.rows, head, 0), output, factor);
}

}  // namespace

size_t attention_workspace_bytes(int64_t, int, int, int head_dim, DType) {
  check_head_dim(head_dim);
  return 0;
}

void attention_forward(const AttentionForward& args, Stream stream) {
  const int64_t tokens = args.qkv.shape[0];
  if (tokens == 0) return;
  const int64_t sequences = args.sequence_offsets.shape[0] - 1;
  const int head_dim = static_cast<int>(args.output.shape[1] / args.n_heads);
  visit_dtype(args.qkv.dtype, [&]<typename T>() {
    const Parameters<T> parameters{
        .output = args.output.as<T>(),
        .log_sum_exp = args.log_sum_exp.as<float>(),
        .qkv = args.qkv.as<T>(),
        .sequence_offsets = args.sequence_offsets.as<int32_t>(),
        .sequences = static_cast<int>(sequences),
        .tokens = tokens,
        .n_heads = args.n_heads,
        .n_kv_heads = args.n_kv_heads,
        .head_dim = head_dim,
        .scale = args.scale,
        .vectorized = head_dim % (16 / static_cast<int>(sizeof(T))) == 0 &&
                      aligned_to_vectors(args.qkv.data) && aligned_to_vectors(args.output.data)};
    visit_head_dim(head_dim, [&]<int kHeadDim>() {
      if constexpr (std::is_same_v<T, bf16>) {
        const int64_t items =
            tile_numbers<kBlockRows>(tokens, sequences) * ForwardTiles<kHeadDim>::kParts;
        launch(tensor_core_kernel<kHeadDim>, dim3(static_cast<unsigned>(items * args.n_heads)),
               kThreads, ForwardTiles<kHeadDim>::kBytes, stream, parameters);
      } else {
        const int64_t items = tile_numbers<PlainTile<kHeadDim>::kRows>(tokens, sequences);
        launch(plain_kernel<kHeadDim>, dim3(static_cast<unsigned>(items * args.n_heads)),
               kPlainThreads, kPlainBytes<kHeadDim>, stream, parameters);
      }
    });
  });
}

}  // namespace cria::CRIA_GPU
