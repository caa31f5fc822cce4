// Sum of squares: one block a chunk of 4,096 elements, summed in fp32; then one block adds the
// chunks in double. Memory: each element read once, 8 bytes for each chunk.
#include "cria/ops/sum_of_squares.h"

#include "kernels/device/access_width.h"
#include "kernels/device/block.h"
#include "kernels/device/device.h"
#include "kernels/device/vector.h"
#include "kernels/ops.h"

namespace cria::CRIA_GPU {

namespace {

constexpr int kThreads = 256;
constexpr int kChunk = 4096;

int64_t chunk_count(int64_t elements) { return divide_up(elements, kChunk); }

template <int kWidth, typename T>
__global__ void __launch_bounds__(kThreads)
    chunk_kernel(float* __restrict__ chunk_sums, const T* __restrict__ input, int64_t elements) {
  const int64_t begin = static_cast<int64_t>(blockIdx.x) * kChunk;
  const auto count = static_cast<int>(elements - begin < kChunk ? elements - begin : kChunk);
  const int whole = count / kWidth * kWidth;
  const T* chunk = input + begin;
  const auto thread = static_cast<int>(threadIdx.x);
  float sum = 0.0f;
#pragma unroll 4
  for (int i = thread * kWidth; i < whole; i += kThreads * kWidth) {
    const auto values = to_float(load<kWidth>(chunk + i));
#pragma unroll
    for (int k = 0; k < kWidth; ++k) sum = fmaf(values[k], values[k], sum);
  }
  if (const int i = whole + thread; i < count) {
    const auto value = static_cast<float>(chunk[i]);
    sum = fmaf(value, value, sum);
  }
  sum = block_sum<kThreads>(sum);
  if (thread == 0) chunk_sums[blockIdx.x] = sum;
}

__global__ void __launch_bounds__(kThreads)
    total_kernel(float* __restrict__ output, const float* __restrict__ chunk_sums, int64_t chunks) {
  double total = 0.0;
#pragma unroll 8
  for (int64_t i = threadIdx.x; i < chunks; i += kThreads) {
    total += static_cast<double>(chunk_sums[i]);
  }
  total = block_sum<kThreads>(total);
  if (threadIdx.x == 0) *output = static_cast<float>(total);
}

}  // namespace

size_t sum_of_squares_workspace_bytes(int64_t elements) {
  return static_cast<size_t>(chunk_count(elements)) * sizeof(float);
}

void sum_of_squares(const SumOfSquares& args, Stream stream) {
  const int64_t elements = args.input.size();
  const int64_t chunks = chunk_count(elements);
  CRIA_ASSERT(args.workspace.bytes() >= sum_of_squares_workspace_bytes(elements));
  auto* chunk_sums = static_cast<float*>(args.workspace.data);
  if (chunks > 0) {
    visit_dtype(args.input.dtype, [&]<typename T>() {
      visit_width<kVectorWidth<T>>(0, {args.input}, [&]<int kWidth>() {
        launch(chunk_kernel<kWidth, T>, dim3(static_cast<unsigned>(chunks)), dim3(kThreads), 0,
               stream, chunk_sums, args.input.as<T>(), elements);
      });
    });
  }
  launch(total_kernel, dim3(1), dim3(kThreads), 0, stream, args.output.as<float>(), chunk_sums,
         chunks);
}

}  // namespace cria::CRIA_GPU
