// The gradients of attention in fp32: kernels 2 and 3 of attention_backward.cu on plain
// multiply-adds. A block of 256 threads takes 64 rows, or 32 of heads over 64, and tiles of as many
// rows of the other side, one after the other.
#include "kernels/attention_backward.h"
#include "kernels/attention_plain.h"

namespace cria::CRIA_GPU {

namespace {

using namespace attention;

template <int kHeadDim>
constexpr size_t kPlainBytes = sizeof(float) * (4 * PlainTile<kHeadDim>::kElements +
                                                PlainTile<kHeadDim>::kWeightElements);

template <int kHeadDim>
__global__ void __launch_bounds__(kPlainThreads) plain_key_kernel(BackwardParameters<float> p) {
  using Tile = PlainTile<kHeadDim>;
  const int kv_head = static_cast<int>(blockIdx.x) % p.n_kv_heads;
  const RowTile place =
      find_tile<Tile::kRows>(p.sequence_offsets, p.sequences,
                             static_cast<int>(blockIdx.x) / p.n_kv_heads, /*last_first=*/false);
  if (place.rows == 0) return;

  float* const key = dynamic_shared<float>();
  float* const value = key + Tile::kElements;
  float* const query = value + Tile::kElements;
  float* const output_gradient = query + Tile::kElements;
  float* const weights = output_gradient + Tile::kElements;
  const int64_t own_row = place.sequence_begin + place.first;
  Tile::load(key, p.rows(own_row, place.rows, p.key_head(kv_head)));
  Tile::load(value, p.rows(own_row, place.rows, p.value_head(kv_head)));

  typename Tile::Columns key_gradient = {}, value_gradient = {};
  for (int head = kv_head * p.group; head < (kv_head + 1) * p.group; ++head) {
    for (int first = place.first; first < place.sequence_length; first += Tile::kRows) {
      const int64_t row = place.sequence_begin + first;
      const int rows = place.sequence_length - first;
      __syncthreads();  // the tiles before have been read
      Tile::load(query, p.rows(row, rows, head));
      Tile::load(output_gradient, p.output_gradient_rows(row, rows, head));
      __syncthreads();
      typename Tile::Scores weight, score_gradient;
      Tile::multiply(weight, key, query);
      Tile::multiply(score_gradient, value, output_gradient);
#pragma unroll
      for (int j = 0; j < Tile::kMicro; ++j) {
        const int column = Tile::column(j);
        const int64_t index = head * p.tokens + row + column;
        const float log_sum_exp = column < rows ? p.log_sum_exp[index] : 0.0f;
        const float dot = column < rows ? p.dot[index] : 0.0f;
#pragma unroll
        for (int i = 0; i < Tile::kMicro; ++i) {
          const bool visible = place.first + Tile::row(i) <= first + column;
          weight[i][j] = visible ? p.probability(weight[i][j], log_sum_exp) : 0.0f;
          score_gradient[i][j] = weight[i][j] * (score_gradient[i][j] - dot);
        }
      }
      Tile::multiply_weights(value_gradient, weight, weights, output_gradient);
      Tile::multiply_weights(key_gradient, score_gradient, weights, query);
    }
  }

  float scale[Tile::kMicro], one[Tile::kMicro];
#pragma unroll
  for (int i = 0; i < Tile::kMicro; ++i) {
    scale[i] = p.scale;
    one[i] = 1.0f;
  }
  Tile::store_rows(p.gradient_rows(own_row, place.rows, p.key_head(kv_head)), key_gradient, scale);
  Tile::store_rows(p.gradient_rows(own_row, place.rows, p.value_head(kv_head)), value_gradient,
                   one);
}

template <int kHeadDim>
__global__ void __launch_bounds__(kPlainThreads) plain_query_kernel(BackwardParameters<float> p) {
  using Tile = PlainTile<kHeadDim>;
  const int head = static_cast<int>(blockIdx.x) % p.n_heads;
  const RowTile place =
      find_tile<Tile::kRows>(p.sequence_offsets, p.sequences,
                             static_cast<int>(blockIdx.x) / p.n_heads, /*last_first=*/true);
  if (place.rows == 0) return;

  float* const query = dynamic_shared<float>();
  float* const output_gradient = query + Tile::kElements;
  float* const key = output_gradient + Tile::kElements;
  float* const value = key + Tile::kElements;
  float* const weights = value + Tile::kElements;
  const int64_t own_row = place.sequence_begin + place.first;
  Tile::load(query, p.rows(own_row, place.rows, head));
  Tile::load(output_gradient, p.output_gradient_rows(own_row, place.rows, head));

  float log_sum_exp[Tile::kMicro], dot[Tile::kMicro], scale[Tile::kMicro];
#pragma unroll
  for (int i = 0; i < Tile::kMicro; ++i) {
    const int64_t index = head * p.tokens + own_row + Tile::row(i);
    log_sum_exp[i] = Tile::row(i) < place.rows ? p.log_sum_exp[index] : 0.0f;
    dot[i] = Tile::row(i) < place.rows ? p.dot[index] : 0.0f;
    scale[i] = p.scale;
  }
  typename Tile::Columns query_gradient = {};
  const int key_end = place.first + place.rows, kv_head = head / p.group;
  for (int first = 0; first < key_end; first += Tile::kRows) {
    const int64_t row = place.sequence_begin + first;
    __syncthreads();  // the tiles before have been read
    Tile::load(key, p.rows(row, key_end - first, p.key_head(kv_head)));
    Tile::load(value, p.rows(row, key_end - first, p.value_head(kv_head)));
    __syncthreads();
    typename Tile::Scores weight, score_gradient;
    Tile::multiply(weight, query, key);
    Tile::multiply(score_gradient, output_gradient, value);
#pragma unroll
    for (int i = 0; i < Tile::kMicro; ++i) {
#pragma unroll
      for (int j = 0; j < Tile::kMicro; ++j) {
        const bool visible = first + Tile::column(j) <= place.first + Tile::row(i);
        const float probability = visible ? p.probability(weight[i][j], log_sum_exp[i]) : 0.0f;
        score_gradient[i][j] = probability * (score_gradient[i][j] - dot[i]);
      }
    }
    Tile::multiply_weights(query_gradient, score_gradient, weights, key);
  }
  Tile::store_rows(p.gradient_rows(own_row, place.rows, head), query_gradient, scale);
}

}  // namespace

void attention::backward_plain(const BackwardParameters<float>& p, Stream stream) {
  visit_head_dim(p.head_dim, [&]<int kHeadDim>() {
    const int64_t tiles = tile_numbers<PlainTile<kHeadDim>::kRows>(p.tokens, p.sequences);
    launch(plain_key_kernel<kHeadDim>, dim3(static_cast<unsigned>(tiles * p.n_kv_heads)),
           kPlainThreads, kPlainBytes<kHeadDim>, stream, p);
    launch(plain_query_kernel<kHeadDim>, dim3(static_cast<unsigned>(tiles * p.n_heads)),
           kPlainThreads, kPlainBytes<kHeadDim>, stream, p);
  });
}

}  // namespace cria::CRIA_GPU
