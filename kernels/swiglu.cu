// SwiGLU: a thread for each 16 bytes of the output's row, with its gate and its up. Memory, in
// elements of [T, f]: forward 2 read, 1 written; backward 3 read, 2 written, 3 with the output.
#include "cria/ops/swiglu.h"

#include "kernels/device/access_width.h"
#include "kernels/device/device.h"
#include "kernels/device/vector.h"
#include "kernels/ops.h"

namespace cria::CRIA_GPU {

namespace {

__device__ inline float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

template <int kWidth, typename T>
__global__ void __launch_bounds__(RowBlocks::kMaxThreads)
    forward_kernel(T* __restrict__ output, const T* __restrict__ gate_up, int64_t columns) {
  const int64_t column = item_of_row() * kWidth;
  if (column >= columns) return;
  const int64_t t = blockIdx.x;
  const T* gate = gate_up + t * 2 * columns + column;
  const auto x = to_float(load<kWidth>(gate));
  const auto up = to_float(load<kWidth>(gate + columns));
  Vector<float, kWidth> y;
#pragma unroll
  for (int k = 0; k < kWidth; ++k) y[k] = x[k] * sigmoid(x[k]) * up[k];
  store(output + t * columns + column, from_float<T>(y));
}

// gate_up_gradient may be gate_up's memory and output output_gradient's: a thread reads all that it
// overwrites. No output: null.
template <int kWidth, typename T>
__global__ void __launch_bounds__(RowBlocks::kMaxThreads)
    backward_kernel(T* gate_up_gradient, T* output, const T* output_gradient, const T* gate_up,
                    int64_t columns) {
  const int64_t column = item_of_row() * kWidth;
  if (column >= columns) return;
  const int64_t t = blockIdx.x;
  const int64_t gate = t * 2 * columns + column;
  const int64_t up = gate + columns;
  const auto x = to_float(load<kWidth>(gate_up + gate));
  const auto u = to_float(load<kWidth>(gate_up + up));
  const auto dy = to_float(load<kWidth>(output_gradient + t * columns + column));
  Vector<float, kWidth> d_gate, d_up, y;
#pragma unroll
  for (int k = 0; k < kWidth; ++k) {
    const float s = sigmoid(x[k]);
    d_gate[k] = dy[k] * u[k] * (s * (1.0f + x[k] * (1.0f - s)));
    d_up[k] = dy[k] * x[k] * s;
    y[k] = x[k] * s * u[k];
  }
  store(gate_up_gradient + gate, from_float<T>(d_gate));
  store(gate_up_gradient + up, from_float<T>(d_up));
  if (output) store(output + t * columns + column, from_float<T>(y));
}

}  // namespace

void swiglu_forward(const SwigluForward& args, Stream stream) {
  const int64_t tokens = args.output.shape[0];
  const int64_t columns = args.output.shape[1];
  CRIA_ASSERT(args.gate_up.shape[1] == 2 * columns);
  if (tokens == 0) return;
  visit_dtype(args.output.dtype, [&]<typename T>() {
    visit_width<kVectorWidth<T>>(columns, {args.output, args.gate_up}, [&]<int kWidth>() {
      const RowBlocks blocks(tokens, columns / kWidth);
      launch(forward_kernel<kWidth, T>, blocks.grid, blocks.block, 0, stream, args.output.as<T>(),
             args.gate_up.as<T>(), columns);
    });
  });
}

void swiglu_backward(const SwigluBackward& args, Stream stream) {
  const int64_t tokens = args.output_gradient.shape[0];
  const int64_t columns = args.output_gradient.shape[1];
  CRIA_ASSERT(args.gate_up.shape[1] == 2 * columns &&
              args.gate_up_gradient.shape[1] == 2 * columns);
  if (tokens == 0) return;
  visit_dtype(args.output_gradient.dtype, [&]<typename T>() {
    visit_width<kVectorWidth<T>>(
        columns, {args.gate_up_gradient, args.output, args.output_gradient, args.gate_up},
        [&]<int kWidth>() {
          const RowBlocks blocks(tokens, columns / kWidth);
          launch(backward_kernel<kWidth, T>, blocks.grid, blocks.block, 0, stream,
                 args.gate_up_gradient.as<T>(), args.output ? args.output.as<T>() : nullptr,
                 args.output_gradient.as<T>(), args.gate_up.as<T>(), columns);
        });
  });
}

}  // namespace cria::CRIA_GPU
