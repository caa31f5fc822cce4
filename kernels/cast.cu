// fp32 <-> bf16, rounded to nearest even: a thread for 4 neighbouring elements (single ones at odd
// addresses) and for 4 more a block's width on, so that two loads are under way. Memory: each
// element read once and written once, 6 bytes.
#include "kernels/device/access_width.h"
#include "kernels/device/device.h"
#include "kernels/device/vector.h"
#include "kernels/ops.h"

namespace cria::CRIA_GPU {

namespace {

constexpr int kThreads = 256;
constexpr int kElements = kVectorWidth<float>;  // a 16-byte access of the wider type
constexpr int kVectors = 2;                     // of a thread

template <int kWidth, typename To, typename From>
__global__ void __launch_bounds__(kThreads)
    cast_kernel(To* __restrict__ destination, const From* __restrict__ source, int64_t elements) {
  constexpr int kStep = kThreads * kWidth;
  const int64_t begin = static_cast<int64_t>(blockIdx.x) * kVectors * kStep + threadIdx.x * kWidth;
#pragma unroll
  for (int vector = 0; vector < kVectors; ++vector) {
    const int64_t first = begin + vector * kStep;
    if (first + kWidth <= elements) {
      store(destination + first, from_float<To>(to_float(load<kWidth>(source + first))));
    } else {
      for (int64_t i = first; i < elements; ++i) {
        destination[i] = To(static_cast<float>(source[i]));
      }
    }
  }
}

}  // namespace

void cast(Tensor destination, Tensor source, Stream stream) {
  const int64_t elements = source.size();
  CRIA_ASSERT(destination.size() == elements);
  if (elements == 0) return;
  visit_dtype(destination.dtype, [&]<typename To>() {
    visit_dtype(source.dtype, [&]<typename From>() {
      visit_width<kElements>(0, {destination, source}, [&]<int kWidth>() {
        launch(cast_kernel<kWidth, To, From>,
               flat_grid<kThreads * kVectors>(divide_up(elements, kWidth)), dim3(kThreads), 0,
               stream, destination.as<To>(), source.as<From>(), elements);
      });
    });
  });
}

}  // namespace cria::CRIA_GPU
