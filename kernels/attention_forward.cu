// Attention of packed sequences, forward: online softmax over tiles of keys (Dao, FlashAttention-2,
// 2023), never holding more than a tile of scores.
//
// A block takes a tile of query rows and goes over the keys up to the diagonal; later tiles, which
// have more keys, come first.
//   bf16: tiles of 128 rows, which are those of all heads of a group: row r is head r % group of
//     query r / group, and a tile of keys and values serves them all. Products on tensor cores; a
//     warp has 32 rows, or 16 of heads over 128, whose output fills its registers alone. Keys and
//     values arrive in turns, 64 at a time, in three buffers: two are under way while one is
//     computed with. A warp computes nothing for keys that come after all of its queries.
//   fp32: 64 queries of one head, or 32 of heads over 64; plain multiply-adds. Blocks of the heads
//     of one tile are neighbours, to find their keys and values in the L2 cache.
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
  int group;          // query heads to a key head
  int qkv_stride;     // from row to row of qkv
  int output_stride;  // and of output
  float scale;
  bool vectorized;

  __device__ int key_head(int kv_head) const { return n_heads + kv_head; }
  __device__ int value_head(int kv_head) const { return n_heads + n_kv_heads + kv_head; }

  // Head `column` of qkv, rows of the pack.
  __device__ HeadRows<const T> rows(int64_t row, int row_count, int column) const {
    return {qkv + row * qkv_stride + int64_t{column} * head_dim, qkv_stride, row_count, head_dim,
            vectorized};
  }
  __device__ HeadRows<T> output_rows(int64_t row, int row_count, int head) const {
    return {output + row * output_stride + int64_t{head} * head_dim, output_stride, row_count,
            head_dim, vectorized};
  }
  // The same of a tile of all heads of a group.
  __device__ GroupRows<const T> query_rows(const RowTile& tile, int kv_head) const {
    return group_rows(qkv, qkv_stride, tile, kv_head, head_dim, vectorized);
  }
  __device__ GroupRows<T> output_rows(const RowTile& tile, int kv_head) const {
    return group_rows(output, output_stride, tile, kv_head, head_dim, vectorized);
  }
};

// Of kRows rows of queries, kLanes lanes a row. The sum is the lane's own part of it. Exponents are
// of 2: with c = scale log2(e), the weight of a score is 2^(c score - shift), one multiply-add and
// one ex2, where shift is c times the row's largest score, rounded.
template <int kRows, int kLanes>
struct OnlineSoftmax {
  float scale;
  float maximum[kRows];
  float sum[kRows];

  __device__ explicit OnlineSoftmax(float of_scores) : scale(of_scores) {
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      maximum[r] = -INFINITY;
      sum[r] = 0.0f;
    }
  }

  __device__ float shift(int r) const { return rounded_product(maximum[r], scale * kLog2E); }

  // The lane's largest score of row r; returns what earlier results must be multiplied by. The
  // first tile has a key for every row, so the maximum is finite from then on.
  __device__ float raise(int r, float largest) {
    const float before = shift(r);
    maximum[r] = fmaxf(maximum[r], warp_max<kLanes>(largest));
    const float correction = fast_exp2(before - shift(r));
    sum[r] *= correction;
    return correction;
  }
  __device__ float weight(int r, float score) {
    const float result = fast_exp2(fmaf(score, scale * kLog2E, -shift(r)));
    sum[r] += result;
    return result;
  }
  __device__ void finish() {
#pragma unroll
    for (int r = 0; r < kRows; ++r) sum[r] = warp_sum<kLanes>(sum[r]);
  }
  // The sum has the largest weight as 2^(what rounding took off the shift): out again here.
  __device__ float log_sum_exp(int r) const {
    const float rounding = fmaf(maximum[r], scale * kLog2E, -shift(r));
    return maximum[r] * scale + (logf(sum[r]) - rounding / kLog2E);
  }
};

template <int kHeadDim>
struct ForwardTiles {
  static constexpr int kWarps = kHeadDim <= 128 ? 4 : 8;
  static constexpr int kThreads = kWarps * kWarpSize;
  static constexpr int kRows = 128;
  static constexpr int kWarpRows = kRows / kWarps;
  static constexpr int kRowTiles = kWarpRows / kTileRows;
  static constexpr int kKeys = 64;
  static constexpr int kStages = 3;
  static constexpr int kKeyElements = kKeys * kHeadDim;
  static constexpr size_t kBytes = sizeof(bf16) * (kRows * kHeadDim + kStages * kKeyElements);
  // An SM holds at once by shared memory, and must by registers.
  static constexpr int kBlocks = kHeadDim <= 32 ? 3 : kHeadDim <= 128 ? 2 : 1;
};

// Scores of a tile to weights of the values, with the output brought to the new maximum.
template <int kRowTiles, int kKeyTiles, int kColumnTiles>
__device__ void weigh_keys(float (&scores)[kRowTiles][kKeyTiles][4],
                           float (&output)[kRowTiles][kColumnTiles][4],
                           OnlineSoftmax<2 * kRowTiles, 4>& softmax) {
#pragma unroll
  for (int m = 0; m < kRowTiles; ++m) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float largest = -INFINITY;
#pragma unroll
      for (int n = 0; n < kKeyTiles; ++n) {
        largest = fmaxf(largest, fmaxf(scores[m][n][2 * half], scores[m][n][2 * half + 1]));
      }
      const float correction = softmax.raise(2 * m + half, largest);
#pragma unroll
      for (int n = 0; n < kColumnTiles; ++n) {
        output[m][n][2 * half] *= correction;
        output[m][n][2 * half + 1] *= correction;
      }
#pragma unroll
      for (int n = 0; n < kKeyTiles; ++n) {
#pragma unroll
        for (int e = 2 * half; e < 2 * half + 2; ++e) {
          scores[m][n][e] = softmax.weight(2 * m + half, scores[m][n][e]);
        }
      }
    }
  }
}

template <int kHeadDim>
__global__ void __launch_bounds__(ForwardTiles<kHeadDim>::kThreads, ForwardTiles<kHeadDim>::kBlocks)
    tensor_core_kernel(Parameters<bf16> p) {
  using Tiles = ForwardTiles<kHeadDim>;
  using Tile = SwizzledTile<kHeadDim>;
  constexpr int kThreads = Tiles::kThreads, kKeys = Tiles::kKeys, kRowTiles = Tiles::kRowTiles;
  const int kv_head = static_cast<int>(blockIdx.x) % p.n_kv_heads;
  const RowTile place = find_tile<Tiles::kRows>(p.sequence_offsets, p.sequences,
                                                static_cast<int>(blockIdx.x) / p.n_kv_heads,
                                                /*last_first=*/true, p.group);
  if (place.rows == 0) return;

  const Tile queries{0};
  const int key_end = place.token(place.rows - 1) + 1;
  load_tile<kThreads, Tiles::kRows>(queries, p.query_rows(place, kv_head));
  // Keys and values in turns.
  auto pipeline = tile_pipeline<Tiles::kStages, Tiles::kKeyElements>(
      queries.from(Tiles::kRows).offset, 2 * ((key_end + kKeys - 1) / kKeys),
      [&p, &place, kv_head, key_end, number = 0](int buffer) mutable {
        const int first = number / 2 * kKeys;
        const int column = number % 2 == 0 ? p.key_head(kv_head) : p.value_head(kv_head);
        load_tile<kThreads, kKeys>(Tile{buffer},
                                   p.rows(place.sequence_begin + first, key_end - first, column));
        ++number;
      });

  const int warp_row = warp_index() * Tiles::kWarpRows;
  const bool has_rows = warp_row < place.rows;
  const Tile query = queries.from(warp_row);
  OnlineSoftmax<2 * kRowTiles, 4> softmax(p.scale);
  float output[kRowTiles][kHeadDim / 8][4] = {};
  for (int first = 0; first < key_end; first += kKeys) {
    // A query sees a key if its row, counted from the rows of the tile's first key, is not less
    // than group times the key: the warp's first row, so counted.
    const int row = place.first + warp_row - first * place.group;
    const bool sees = has_rows && row + Tiles::kWarpRows > 0;
    PackedWeights<kRowTiles, kKeys / 8> weights;
    const Tile key{pipeline.next()};
    if (sees) {
      float scores[kRowTiles][kKeys / 8][4] = {};
      multiply_rows(scores, query, key);
      if ((kKeys - 1) * place.group > row) {
#pragma unroll
        for (int m = 0; m < kRowTiles; ++m) {
#pragma unroll
          for (int n = 0; n < kKeys / 8; ++n) {
#pragma unroll
            for (int e = 0; e < 4; ++e) {
              if (column_of(n, e) * place.group > row + row_of(m, e)) scores[m][n][e] = -INFINITY;
            }
          }
        }
      }
      weigh_keys(scores, output, softmax);
      weights.pack(scores);  // half the registers, while the next copies start
    }
    const Tile value{pipeline.next()};
    if (sees) multiply_weights(output, weights, value);
  }

  softmax.finish();
  float factor[kRowTiles][2];
#pragma unroll
  for (int m = 0; m < kRowTiles; ++m) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int r = 2 * m + half, row = warp_row + row_of(m, 2 * half);
      factor[m][half] = 1.0f / softmax.sum[r];
      if (lane() % 4 == 0 && row < place.rows) {
        p.log_sum_exp[place.index(row, kv_head, p.tokens)] = softmax.log_sum_exp(r);
      }
    }
  }
  store_rows(p.output_rows(place, kv_head).from(warp_row), output, factor, query);
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
  const int64_t row = place.sequence_begin + place.first;
  Tile::load(query, p.rows(row, place.rows, head));

  OnlineSoftmax<Tile::kMicro, kSide> softmax(p.scale);
  typename Tile::Columns output = {};
  const int key_end = place.first + place.rows, kv_head = head / p.group;
  for (int first = 0; first < key_end; first += Tile::kRows) {
    const int64_t key_row = place.sequence_begin + first;
    __syncthreads();  // the tiles before have been read
    Tile::load(key, p.rows(key_row, key_end - first, p.key_head(kv_head)));
    Tile::load(value, p.rows(key_row, key_end - first, p.value_head(kv_head)));
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
      const float correction = softmax.raise(i, largest);
#pragma unroll
      for (int j = 0; j < Tile::kColumns; ++j) output[i][j] *= correction;
#pragma unroll
      for (int j = 0; j < Tile::kMicro; ++j) {
        scores[i][j] = softmax.weight(i, scores[i][j]);
      }
    }
    Tile::multiply_weights(output, scores, weights, value);
  }

  softmax.finish();
  float factor[Tile::kMicro];
#pragma unroll
  for (int i = 0; i < Tile::kMicro; ++i) {
    factor[i] = 1.0f / softmax.sum[i];
    if (thread_x() == 0 && Tile::row(i) < place.rows) {
      p.log_sum_exp[head * p.tokens + row + Tile::row(i)] = softmax.log_sum_exp(i);
    }
  }
  Tile::store_rows(p.output_rows(row, place.rows, head), output, factor);
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
        .group = args.n_heads / args.n_kv_heads,
        .qkv_stride = static_cast<int>(args.qkv.shape[1]),
        .output_stride = static_cast<int>(args.output.shape[1]),
        .scale = args.scale,
        .vectorized = head_dim % (16 / static_cast<int>(sizeof(T))) == 0 &&
                      aligned_to_vectors(args.qkv.data) && aligned_to_vectors(args.output.data)};
    visit_head_dim(head_dim, [&]<int kHeadDim>() {
      if constexpr (std::is_same_v<T, bf16>) {
        using Tiles = ForwardTiles<kHeadDim>;
        const int64_t items = tile_numbers<Tiles::kRows>(tokens, sequences, parameters.group);
        launch(tensor_core_kernel<kHeadDim>, dim3(static_cast<unsigned>(items * args.n_kv_heads)),
               Tiles::kThreads, Tiles::kBytes, stream, parameters);
      } else {
        const int64_t items = tile_numbers<PlainTile<kHeadDim>::kRows>(tokens, sequences);
        launch(plain_kernel<kHeadDim>, dim3(static_cast<unsigned>(items * args.n_heads)),
               kPlainThreads, kPlainBytes<kHeadDim>, stream, parameters);
      }
    });
  });
}

}  // namespace cria::CRIA_GPU
