// Sets every integer of a workspace to one value.
#pragma once

#include "kernels/device/access_width.h"
#include "kernels/device/device.h"

namespace cria::CRIA_GPU {

constexpr int kFillThreads = 256;

template <typename T>
__global__ void __launch_bounds__(kFillThreads) fill_kernel(T* values, int64_t count, T value) {
  const int64_t i = flat_item();
  if (i < count) values[i] = value;
}

template <typename T>
void fill(T* values, int64_t count, T value, Stream stream) {
  if (count == 0) return;
  launch(fill_kernel<T>, flat_grid<kFillThreads>(count), dim3(kFillThreads), 0, stream, values,
         count, value);
}

}  // namespace cria::CRIA_GPU
