// How kernels that only move memory cut their work: into accesses of several neighbouring elements
// where every address allows it, of single elements elsewhere (odd sizes, odd addresses).
#pragma once

#include <algorithm>
#include <initializer_list>

#include "cria/core/tensor.h"

#include "kernels/device/device.h"

namespace cria::CRIA_GPU {

// The elements of a 16-byte access; of the wider type where a kernel works on two, for lanes that
// are 32 bytes apart ask for twice the sectors that they use.
template <typename T>
constexpr int kVectorWidth = 16 / sizeof(T);

// Calls f.operator()<kWidth>() when rows of `columns` elements of all the tensors can be accessed
// kWidth elements at a time, else f.operator()<1>(). Empty tensors do not count. Flat buffers have
// no rows: 0 columns.
template <int kWidth, typename F>
void visit_width(int64_t columns, std::initializer_list<Tensor> tensors, F&& f) {
  bool fits = columns % kWidth == 0;
  for (const Tensor& tensor : tensors) {
    fits = fits && reinterpret_cast<uintptr_t>(tensor.data) % (kWidth * size_of(tensor.dtype)) == 0;
  }
  if (fits) {
    f.template operator()<kWidth>();
  } else {
    f.template operator()<1>();
  }
}

constexpr int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

// One thread for each of `items` things of a row: blocks (row, part of the items).
struct RowBlocks {
  dim3 grid, block;

  static constexpr int64_t kMaxThreads = 256;

  RowBlocks(int64_t rows, int64_t items) {
    const int64_t threads = std::min(kMaxThreads, divide_up(items, 32) * 32);
    grid = dim3(static_cast<unsigned>(rows), static_cast<unsigned>(divide_up(items, threads)));
    block = dim3(static_cast<unsigned>(threads));
  }
};

// The item of this thread, for kernels launched so.
__device__ inline int64_t item_of_row() {
  return static_cast<int64_t>(blockIdx.y) * blockDim.x + threadIdx.x;
}

// One thread for each of `items` things: blocks of kThreads.
template <int kThreads>
dim3 flat_grid(int64_t items) {
  return dim3(static_cast<unsigned>(divide_up(items, kThreads)));
}

__device__ inline int64_t flat_item() {
  return static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}

}  // namespace cria::CRIA_GPU
