// Scalar head. Forward: one warp a score. Backward: a map from rows to scores is made first, so
// that the gradient of the hidden states is written in one pass; the weight gradient is summed in
// ascending i as the header fixes it, by one thread a column, many rows in flight. Memory: the
// chosen rows read once in each direction, the hidden gradient written once.
#include "cria/ops/score_head.h"

#include "kernels/device/access_width.h"
#include "kernels/device/device.h"
#include "kernels/device/fill.h"
#include "kernels/device/vector.h"
#include "kernels/device/warp.h"
#include "kernels/ops.h"

namespace cria::CRIA_GPU {

namespace {

constexpr int kScoresPerBlock = 4;

template <int kWidth, typename T>
__global__ void __launch_bounds__(kScoresPerBlock* kWarpSize)
    forward_kernel(float* __restrict__ scores, const T* __restrict__ hidden,
                   const T* __restrict__ weight, const int32_t* __restrict__ rows, int64_t count,
                   int64_t columns) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kScoresPerBlock + warp_index();
  if (i >= count) return;
  const T* row = hidden + rows[i] * columns;
  float sum = 0.0f;
  for (int64_t j = lane() * kWidth; j < columns; j += kWarpSize * kWidth) {
    const auto h = to_float(load<kWidth>(row + j));
    const auto w = to_float(load<kWidth>(weight + j));
#pragma unroll
    for (int k = 0; k < kWidth; ++k) sum = fmaf(h[k], w[k], sum);
  }
  sum = warp_sum(sum);
  if (lane() == 0) scores[i] = sum;
}

constexpr int32_t kNoScore = INT32_MAX;
constexpr int kMapThreads = 256;

__global__ void __launch_bounds__(kMapThreads)
    map_kernel(int32_t* __restrict__ score_of_row, const int32_t* __restrict__ rows,
               int64_t count) {
  const int64_t i = flat_item();
  if (i < count) score_of_row[rows[i]] = static_cast<int32_t>(i);
}

template <int kWidth, typename T>
__global__ void __launch_bounds__(RowBlocks::kMaxThreads)
    hidden_gradient_kernel(T* __restrict__ hidden_gradient,
                           const float* __restrict__ score_gradients, const T* __restrict__ weight,
                           const int32_t* __restrict__ score_of_row, int64_t columns) {
  const int64_t column = item_of_row() * kWidth;
  if (column >= columns) return;
  const int64_t t = blockIdx.x;
  const int32_t score = score_of_row[t];
  Vector<float, kWidth> gradient = {};
  if (score != kNoScore) {
    gradient = to_float(load<kWidth>(weight + column));
#pragma unroll
    for (int k = 0; k < kWidth; ++k) gradient[k] *= score_gradients[score];
  }
  store(hidden_gradient + t * columns + column, from_float<T>(gradient));
}

// Small blocks: columns are few, and all of the GPU should have some.
constexpr int kColumnsPerBlock = 32;

template <typename T, typename G>
__global__ void __launch_bounds__(kColumnsPerBlock)
    weight_gradient_kernel(G* __restrict__ weight_gradient,
                           const float* __restrict__ score_gradients, const T* __restrict__ hidden,
                           const int32_t* __restrict__ rows, int64_t count, int64_t columns) {
  const int64_t column = flat_item();
  if (column >= columns) return;
  float sum = 0.0f;
#pragma unroll 16
  for (int64_t i = 0; i < count; ++i) {
    sum = fmaf(score_gradients[i], static_cast<float>(hidden[rows[i] * columns + column]), sum);
  }
  weight_gradient[column] = G(static_cast<float>(weight_gradient[column]) + sum);
}

}  // namespace

void score_head_forward(const ScoreHeadForward& args, Stream stream) {
  const int64_t count = args.rows.size();
  const int64_t columns = args.weight.size();
  CRIA_ASSERT(args.scores.size() == count && args.hidden.shape[1] == columns);
  if (count == 0) return;
  visit_dtype(args.hidden.dtype, [&]<typename T>() {
    visit_width<kVectorWidth<T>>(columns, {args.hidden, args.weight}, [&]<int kWidth>() {
      launch(forward_kernel<kWidth, T>, flat_grid<kScoresPerBlock>(count),
             dim3(kScoresPerBlock * kWarpSize), 0, stream, args.scores.as<float>(),
             args.hidden.as<T>(), args.weight.as<T>(), args.rows.as<int32_t>(), count, columns);
    });
  });
}

size_t score_head_backward_workspace_bytes(int64_t tokens, int64_t) {
  return static_cast<size_t>(tokens) * sizeof(int32_t);
}

void score_head_backward(const ScoreHeadBackward& args, Stream stream) {
  const int64_t count = args.rows.size();
  const int64_t columns = args.weight.size();
  const int64_t tokens = args.hidden.shape[0];
  CRIA_ASSERT(args.score_gradients.size() == count && args.hidden.shape[1] == columns);
  CRIA_ASSERT(args.hidden_gradient.shape == args.hidden.shape);
  CRIA_ASSERT(args.weight_gradient.size() == columns);
  CRIA_ASSERT(args.workspace.bytes() >= score_head_backward_workspace_bytes(tokens, columns));
  if (tokens == 0) return;

  auto* score_of_row = static_cast<int32_t*>(args.workspace.data);
  fill(score_of_row, tokens, kNoScore, stream);
  if (count > 0) {
    launch(map_kernel, flat_grid<kMapThreads>(count), dim3(kMapThreads), 0, stream, score_of_row,
           args.rows.as<int32_t>(), count);
  }
  visit_dtype(args.hidden.dtype, [&]<typename T>() {
    visit_width<kVectorWidth<T>>(columns, {args.hidden_gradient, args.weight}, [&]<int kWidth>() {
      const RowBlocks blocks(tokens, columns / kWidth);
      launch(hidden_gradient_kernel<kWidth, T>, blocks.grid, blocks.block, 0, stream,
             args.hidden_gradient.as<T>(), args.score_gradients.as<float>(), args.weight.as<T>(),
             score_of_row, columns);
    });
    visit_dtype(args.weight_gradient.dtype, [&]<typename G>() {
      if (count == 0) return;
      launch(weight_gradient_kernel<T, G>, flat_grid<kColumnsPerBlock>(columns),
             dim3(kColumnsPerBlock), 0, stream, args.weight_gradient.as<G>(),
             args.score_gradients.as<float>(), args.hidden.as<T>(), args.rows.as<int32_t>(), count,
             columns);
    });
  });
}

}  // namespace cria::CRIA_GPU
