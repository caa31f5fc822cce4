// The gradients of attention's keys and values in bf16 on tensor cores: kernel 2 of
// attention_backward.cu.
//
// A block takes a tile of keys and their values and goes over the queries, each with its output's
// gradient, log_sum_exp and D; the next arrive while one tile is computed with. Scores and do v^T
// are computed transposed, [keys, queries]: p and ds then are the left operands of what follows,
// straight from registers. A warp computes nothing for queries that come before all of its keys.
//   Heads up to 64: a warp has 32 keys and both of their gradients.
//   Larger heads: 32 keys have two warps, or 16 keys of heads over 128, for one has not the
//     registers. The first computes the scores, p and dv, the second do v^T, ds and dk; p goes from
//     the one to the other through shared memory, as it lies in the registers of a lane.
// Reads k and v once, q and do once for each tile of keys that they see (mostly from L2); writes dk
// and dv once.
#include "kernels/attention_backward.h"
#include "kernels/attention_tensor_cores.h"

namespace cria::CRIA_GPU {

namespace {

using namespace attention;

template <int kHeadDim>
struct KeyTiles {
  static constexpr bool kPaired = kHeadDim > 64;  // two warps share their keys
  static constexpr int kRowTiles = kHeadDim <= 128 ? 2 : 1;
  static constexpr int kWarpRows = kRowTiles * kTileRows;
  static constexpr int kRowWarps = 4;
  static constexpr int kThreads = (kPaired ? 2 : 1) * kRowWarps * kWarpSize;
  static constexpr int kRows = kRowWarps * kWarpRows;
  static constexpr int kQueries = kHeadDim == 128 ? 48 : 32;
  static constexpr int kStages = kPaired ? 2 : 3;
  static constexpr int kOwnElements = kRows * kHeadDim;
  static constexpr int kQueryElements = kQueries * kHeadDim;
  // A stage: queries, their output's gradients, log_sum_exp and D, the last two in fp32.
  static constexpr int kStageElements = 2 * kQueryElements + 4 * kQueries;
  static constexpr int kExchanged = kPaired ? kRows * kQueries : 0;  // weights of a step, fp32
  static constexpr size_t kBytes =
      sizeof(bf16) * (2 * kOwnElements + kStages * kStageElements) + sizeof(float) * kExchanged;
  static constexpr int kBlocks = kPaired ? 1 : 2;  // of an SM
};

// What arrives at once: queries, their output's gradients, log_sum_exp and D.
template <int kHeadDim>
struct QueryStage {
  using Tiles = KeyTiles<kHeadDim>;
  using Tile = SwizzledTile<kHeadDim>;

  int offset;  // in shared memory, in bf16

  __device__ Tile tiles() const { return {offset}; }  // queries, then their output's gradients
  __device__ Tile query() const { return tiles(); }
  __device__ Tile output_gradient() const { return tiles().from(Tiles::kQueries); }
  __device__ float* log_sum_exp() const {
    return dynamic_shared<float>() + (offset / 2 + Tiles::kQueryElements);
  }
  __device__ float* dot() const { return log_sum_exp() + Tiles::kQueries; }

  // Starts the copies of `rows` queries of a head, or of as many as there is room for.
  __device__ void start(const BackwardParameters<bf16>& p, int row, int rows, int head) const {
    constexpr int kThreads = Tiles::kThreads, kQueries = Tiles::kQueries;
    load_tile<kThreads, kQueries>(query(), p.rows(row, rows, head));
    load_tile<kThreads, kQueries>(output_gradient(), p.output_gradient_rows(row, rows, head));
    const int i = static_cast<int>(threadIdx.x);
    if (i >= kQueries) return;
    const int64_t index = head * p.tokens + row + (i < rows ? i : 0);
    async_copy_4(log_sum_exp() + i, p.log_sum_exp + index, i < rows);
    async_copy_4(dot() + i, p.dot + index, i < rows);
  }
};

// The keys of a block: a tile of one key/value head.
template <int kHeadDim>
__device__ RowTile find_keys(const BackwardParameters<bf16>& p) {
  return find_tile<KeyTiles<kHeadDim>::kRows>(p.sequence_offsets, p.sequences,
                                              static_cast<int>(blockIdx.x) / p.n_kv_heads,
                                              /*last_first=*/false);
}

// Starts to copy `rows` of them and their values, or as many as there is room for.
template <int kHeadDim>
__device__ void load_keys(SwizzledTile<kHeadDim> keys, SwizzledTile<kHeadDim> values,
                          const BackwardParameters<bf16>& p, int row, int rows, int kv_head) {
  constexpr int kThreads = KeyTiles<kHeadDim>::kThreads, kRows = KeyTiles<kHeadDim>::kRows;
  load_tile<kThreads, kRows>(keys, p.rows(row, rows, p.key_head(kv_head)));
  load_tile<kThreads, kRows>(values, p.rows(row, rows, p.value_head(kv_head)));
}

// The queries of all heads of the group, of each `rows` rows from `row` on.
template <int kHeadDim>
__device__ auto query_pipeline(int buffers, const BackwardParameters<bf16>& p, int row, int rows,
                               int kv_head) {
  using Tiles = KeyTiles<kHeadDim>;
  return tile_pipeline<Tiles::kStages, Tiles::kStageElements>(
      buffers, p.group * ((rows + Tiles::kQueries - 1) / Tiles::kQueries),
      [&p, row, rows, head = kv_head * p.group, first = 0](int buffer) mutable {
        QueryStage<kHeadDim>{buffer}.start(p, row + first, rows - first, head);
        first += Tiles::kQueries;
        if (first >= rows) {
          first = 0;
          ++head;
        }
      });
}

// Scores to weights. `key` is the warp's first, counted from the first of the queries.
template <int kRowTiles, int kQueryTiles>
__device__ void to_weights(float (&scores)[kRowTiles][kQueryTiles][4], const float* log_sum_exp,
                           int key, const BackwardParameters<bf16>& p) {
  const bool all_visible = key + kRowTiles * kTileRows <= 1;
#pragma unroll
  for (int n = 0; n < kQueryTiles; ++n) {
    const auto of_queries = load<2>(log_sum_exp + column_of(n, 0));
#pragma unroll
    for (int m = 0; m < kRowTiles; ++m) {
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const bool visible = all_visible || key + row_of(m, e) <= column_of(n, e);
        scores[m][n][e] = visible ? p.probability(scores[m][n][e], of_queries[e % 2]) : 0.0f;
      }
    }
  }
}

// do v^T to ds, of a lane's part of one tile of mma.
__device__ inline void differentiate(float (&product)[4], const float (&weight)[4],
                                     const Vector<float, 2>& dot) {
#pragma unroll
  for (int e = 0; e < 4; ++e) product[e] = weight[e] * (product[e] - dot[e % 2]);
}

template <int kRowTiles, int kTiles>
__device__ void turn_keys_back(float (&gradient)[kRowTiles][kTiles][4],
                               const BackwardParameters<bf16>& p, int row, int rows) {
  if (!p.rope_table) return;
  turn_back(gradient, rows, p.positions, p.rope_table, [row](int i) { return row + i; });
}

// Of a warp's keys; `staging` are its rows of a tile that it needs no more.
template <int kRowTiles, int kTiles>
__device__ void store_gradient(const float (&gradient)[kRowTiles][kTiles][4], float scale,
                               const BackwardParameters<bf16>& p, int row, int rows, int column,
                               SwizzledTile<8 * kTiles> staging) {
  float factor[kRowTiles][2];
#pragma unroll
  for (int m = 0; m < kRowTiles; ++m) factor[m][0] = factor[m][1] = scale;
  store_rows(p.gradient_rows(row, rows, column), gradient, factor, staging);
}

template <int kHeadDim>
__global__ void __launch_bounds__(KeyTiles<kHeadDim>::kThreads, KeyTiles<kHeadDim>::kBlocks)
    key_kernel(BackwardParameters<bf16> p) {
  using Tiles = KeyTiles<kHeadDim>;
  using Tile = SwizzledTile<kHeadDim>;
  constexpr int kQueries = Tiles::kQueries, kRowTiles = Tiles::kRowTiles;
  int kv_head = static_cast<int>(blockIdx.x) % p.n_kv_heads;
  const RowTile place = find_keys<kHeadDim>(p);
  if (place.rows == 0) return;
  // The keys, and the queries that may see them, are the rest of the sequence.
  int row = place.sequence_begin + place.first;
  const int rows = place.sequence_length - place.first;

  const Tile keys{0}, values = keys.from(Tiles::kRows);
  load_keys(keys, values, p, row, rows, kv_head);
  auto pipeline = query_pipeline<kHeadDim>(values.from(Tiles::kRows).offset, p, row, rows, kv_head);

  const int warp_row = warp_index() * Tiles::kWarpRows;
  // A warp without keys has them after all queries.
  const int warp_key = warp_row < rows ? warp_row : rows + kQueries;
  const Tile own = keys.from(warp_row);  // the values are kRows rows after them
  float key_gradient[kRowTiles][kHeadDim / 8][4] = {};
  float value_gradient[kRowTiles][kHeadDim / 8][4] = {};
  for (int first = 0; pipeline.has_next(); first = first + kQueries < rows ? first + kQueries : 0) {
    const QueryStage<kHeadDim> stage{pipeline.next()};
    const int first_key = warp_key - first;  // from the first query
    if (first_key >= kQueries) continue;
    float weight[kRowTiles][kQueries / 8][4] = {};
    multiply_rows(weight, own, stage.tiles());
    to_weights(weight, stage.log_sum_exp(), first_key, p);
    multiply_weights<kQueries>(value_gradient, weight, stage.tiles());
    float score_gradient[kRowTiles][kQueries / 8][4] = {};
    multiply_rows<Tiles::kRows, kQueries>(score_gradient, own, stage.tiles());
#pragma unroll
    for (int n = 0; n < kQueries / 8; ++n) {
      const auto dot = load<2>(stage.dot() + column_of(n, 0));
#pragma unroll
      for (int m = 0; m < kRowTiles; ++m) {
        differentiate(score_gradient[m][n], weight[m][n], dot);
      }
    }
    multiply_weights(key_gradient, score_gradient, stage.tiles());
  }

  int n_kv_heads = p.n_kv_heads;
  forget(n_kv_heads);
  kv_head = static_cast<int>(blockIdx.x) % n_kv_heads;
  const int warp_first = row + warp_row, warp_rows = rows - warp_row;  // those of later warps too
  turn_keys_back(key_gradient, p, warp_first, warp_rows);
  store_gradient(key_gradient, p.scale, p, warp_first, warp_rows, p.key_head(kv_head), own);
  store_gradient(value_gradient, 1.0f, p, warp_first, warp_rows, p.value_head(kv_head),
                 own.from(Tiles::kRows));
}

template <int kHeadDim>
__global__ void __launch_bounds__(KeyTiles<kHeadDim>::kThreads, KeyTiles<kHeadDim>::kBlocks)
    paired_key_kernel(BackwardParameters<bf16> p) {
  using Tiles = KeyTiles<kHeadDim>;
  using Tile = SwizzledTile<kHeadDim>;
  constexpr int kQueries = Tiles::kQueries, kRowTiles = Tiles::kRowTiles;
  int kv_head = static_cast<int>(blockIdx.x) % p.n_kv_heads;
  const RowTile place = find_keys<kHeadDim>(p);
  if (place.rows == 0) return;
  // The keys, and the queries that may see them, are the rest of the sequence.
  int row = place.sequence_begin + place.first;
  const int rows = place.sequence_length - place.first;

  const Tile keys{0}, values = keys.from(Tiles::kRows);
  const int stages = values.from(Tiles::kRows).offset;
  load_keys(keys, values, p, row, rows, kv_head);
  auto pipeline = query_pipeline<kHeadDim>(stages, p, row, rows, kv_head);

  // Of the two warps of the same keys the first has p and dv, the second ds and dk.
  const int role = warp_index() / Tiles::kRowWarps;
  const int warp_row = warp_index() % Tiles::kRowWarps * Tiles::kWarpRows;
  const Tile own = keys.from(role * Tiles::kRows + warp_row);
  const int exchange =
      (stages + Tiles::kStages * Tiles::kStageElements) / 2 + warp_row * kQueries + 4 * lane();
  float gradient[kRowTiles][kHeadDim / 8][4] = {};
  for (int first = 0; pipeline.has_next(); first = first + kQueries < rows ? first + kQueries : 0) {
    const QueryStage<kHeadDim> stage{pipeline.next()};
    const int first_key = warp_row - first;  // from the first query
    const bool sees = first_key < kQueries && warp_row < rows;
    float scores[kRowTiles][kQueries / 8][4] = {};  // and what becomes of them
    if (sees) multiply_rows(scores, own, stage.tiles().from(role * kQueries));
    if (sees && role == 0) {
      to_weights(scores, stage.log_sum_exp(), first_key, p);
#pragma unroll
      for (int i = 0; i < kRowTiles * kQueries / 8; ++i) {
        const auto& tile = scores[i % kRowTiles][i / kRowTiles];
        store(dynamic_shared<float>() + (exchange + i * 4 * kWarpSize),
              Vector<float, 4>{tile[0], tile[1], tile[2], tile[3]});
      }
    }
    __syncthreads();  // the weights are there
    if (sees && role == 1) {
#pragma unroll
      for (int n = 0; n < kQueries / 8; ++n) {
        const auto dot = load<2>(stage.dot() + column_of(n, 0));
#pragma unroll
        for (int m = 0; m < kRowTiles; ++m) {
          const auto weight =
              load<4>(dynamic_shared<float>() + (exchange + (n * kRowTiles + m) * 4 * kWarpSize));
          differentiate(scores[m][n], weight.values, dot);
        }
      }
    }
    if (sees) multiply_weights(gradient, scores, stage.tiles().from((1 - role) * kQueries));
  }

  forget(row);
  forget(kv_head);
  const int warp_first = row + warp_row, warp_rows = rows - warp_row;  // those of later warps too
  if (role == 1) turn_keys_back(gradient, p, warp_first, warp_rows);
  store_gradient(gradient, role == 0 ? 1.0f : p.scale, p, warp_first, warp_rows,
                 role == 0 ? p.value_head(kv_head) : p.key_head(kv_head), own);
}

}  // namespace

void attention::backward_keys(const BackwardParameters<bf16>& p, Stream stream) {
  visit_head_dim(p.head_dim, [&]<int kHeadDim>() {
    using Tiles = KeyTiles<kHeadDim>;
    const dim3 blocks(
        static_cast<unsigned>(tile_numbers<Tiles::kRows>(p.tokens, p.sequences) * p.n_kv_heads));
    if constexpr (Tiles::kPaired) {
      launch(paired_key_kernel<kHeadDim>, blocks, Tiles::kThreads, Tiles::kBytes, stream, p);
    } else {
      launch(key_kernel<kHeadDim>, blocks, Tiles::kThreads, Tiles::kBytes, stream, p);
    }
  });
}

}  // namespace cria::CRIA_GPU
