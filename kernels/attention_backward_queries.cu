// The gradient of attention's queries in bf16 on tensor cores: kernel 3 of attention_backward.cu.
//
// A block takes 128 rows, which are those of all heads of a group: row r is head r % group of query
// r / group, and a tile of keys and values serves them all. A warp has 32 rows, or 16 of heads over
// 128, whose gradient fills its registers alone. Values and keys arrive in turns, the next while
// one is computed with: first do v^T, then the scores, ds and its product with the same keys. A
// warp computes nothing for keys that come after all of its queries.
//
// Reads q and do once, k and v once for each tile of queries that sees them (mostly from L2);
// writes dq once.
#include "kernels/attention_backward.h"
#include "kernels/attention_tensor_cores.h"

namespace cria::CRIA_GPU {

namespace {

using namespace attention;

template <int kHeadDim>
struct QueryTiles {
  static constexpr int kWarps = kHeadDim <= 128 ? 4 : 8;
  static constexpr int kThreads = kWarps * kWarpSize;
  static constexpr int kRows = 128;
  static constexpr int kWarpRows = kRows / kWarps;
  static constexpr int kRowTiles = kWarpRows / kTileRows;
  static constexpr int kKeys = kHeadDim <= 64 ? 64 : 32;
  static constexpr int kStages = kHeadDim <= 64 ? 3 : 2;
  static constexpr int kKeyElements = kKeys * kHeadDim;
  static constexpr size_t kBytes = sizeof(bf16) * (2 * kRows * kHeadDim + kStages * kKeyElements);
  static constexpr int kBlocks = kHeadDim <= 128 ? 2 : 1;  // of an SM
};

template <int kHeadDim>
__global__ void __launch_bounds__(QueryTiles<kHeadDim>::kThreads, QueryTiles<kHeadDim>::kBlocks)
    query_kernel(BackwardParameters<bf16> p) {
  using Tiles = QueryTiles<kHeadDim>;
  using Tile = SwizzledTile<kHeadDim>;
  constexpr int kThreads = Tiles::kThreads, kKeys = Tiles::kKeys, kRowTiles = Tiles::kRowTiles;
  const int kv_head = static_cast<int>(blockIdx.x) % p.n_kv_heads;
  const RowTile place = find_tile<Tiles::kRows>(p.sequence_offsets, p.sequences,
                                                static_cast<int>(blockIdx.x) / p.n_kv_heads,
                                                /*last_first=*/true, p.group);
  if (place.rows == 0) return;

  const Tile queries{0};
  const Tile output_gradients = queries.from(Tiles::kRows);
  const int key_end = place.token(place.rows - 1) + 1;
  load_tile<kThreads, Tiles::kRows>(queries, p.query_rows(place, kv_head));
  load_tile<kThreads, Tiles::kRows>(output_gradients, p.output_gradient_rows(place, kv_head));
  // Values and keys in turns.
  auto pipeline = tile_pipeline<Tiles::kStages, Tiles::kKeyElements>(
      output_gradients.from(Tiles::kRows).offset, 2 * ((key_end + kKeys - 1) / kKeys),
      [&p, &place, kv_head, key_end, number = 0](int buffer) mutable {
        const int first = number / 2 * kKeys;
        const int column = number % 2 == 0 ? p.value_head(kv_head) : p.key_head(kv_head);
        load_tile<kThreads, kKeys>(Tile{buffer},
                                   p.rows(place.sequence_begin + first, key_end - first, column));
        ++number;
      });

  const int warp_row = warp_index() * Tiles::kWarpRows;
  const bool has_rows = warp_row < place.rows;
  const Tile query = queries.from(warp_row), output_gradient = output_gradients.from(warp_row);
  // Of the rows of a quad each lane keeps one row's log_sum_exp and D; any finite value does for a
  // row that is not there.
  const int own_row = warp_row + row_of(lane() % 4 / 2, lane() % 2 * 2);
  const bool has_row = lane() % 4 < 2 * kRowTiles && own_row < place.rows;
  const int64_t index = place.index(has_row ? own_row : 0, kv_head, p.tokens);
  const float own_log_sum_exp = has_row ? p.log_sum_exp[index] : 0.0f;
  const float own_dot = has_row ? p.dot[index] : 0.0f;
  float query_gradient[kRowTiles][kHeadDim / 8][4] = {};
  for (int first = 0; first < key_end; first += kKeys) {
    // A query sees a key if its row, counted from the rows of the tile's first key, is not less
    // than group times the key: the warp's first row, so counted.
    const int row = place.first + warp_row - first * place.group;
    const bool sees = has_rows && row + Tiles::kWarpRows > 0;
    float score_gradient[kRowTiles][kKeys / 8][4] = {};
    const Tile value{pipeline.next()};
    if (sees) multiply_rows(score_gradient, output_gradient, value);
    const Tile key{pipeline.next()};
    if (sees) {
      float weight[kRowTiles][kKeys / 8][4] = {};
      multiply_rows(weight, query, key);
      const bool all_visible = (kKeys - 1) * place.group <= row;
#pragma unroll
      for (int m = 0; m < kRowTiles; ++m) {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          const int keeper = lane() / 4 * 4 + 2 * m + half;
          const float log_sum_exp = __shfl_sync(kFullWarp, own_log_sum_exp, keeper);
          const float dot = __shfl_sync(kFullWarp, own_dot, keeper);
#pragma unroll
          for (int n = 0; n < kKeys / 8; ++n) {
#pragma unroll
            for (int e = 2 * half; e < 2 * half + 2; ++e) {
              const bool visible =
                  all_visible || column_of(n, e) * place.group <= row + row_of(m, e);
              const float probability =
                  visible ? p.probability(weight[m][n][e], log_sum_exp) : 0.0f;
              score_gradient[m][n][e] = probability * (score_gradient[m][n][e] - dot);
            }
          }
        }
      }
      multiply_weights(query_gradient, score_gradient, key);
    }
  }

  if (p.rope_table) {
    turn_back(query_gradient, place.rows - warp_row, p.positions, p.rope_table,
              [&](int row) { return place.sequence_begin + place.token(warp_row + row); });
  }
  float factor[kRowTiles][2];
#pragma unroll
  for (int m = 0; m < kRowTiles; ++m) factor[m][0] = factor[m][1] = p.scale;
  store_rows(p.query_gradient_rows(place, kv_head).from(warp_row), query_gradient, factor, query);
}

}  // namespace

void attention::backward_queries(const BackwardParameters<bf16>& p, Stream stream) {
  visit_head_dim(p.head_dim, [&]<int kHeadDim>() {
    using Tiles = QueryTiles<kHeadDim>;
    const int64_t tiles = tile_numbers<Tiles::kRows>(p.tokens, p.sequences, p.group);
    launch(query_kernel<kHeadDim>, dim3(static_cast<unsigned>(tiles * p.n_kv_heads)),
           Tiles::kThreads, Tiles::kBytes, stream, p);
  });
}

}  // namespace cria::CRIA_GPU
