// Reductions over a warp. All 32 lanes take part and all get the result; the order of the sum is
// fixed by the butterfly of the shuffles.
#pragma once

#include "kernels/device/device.h"

namespace cria::CRIA_GPU {

constexpr int kWarpSize = 32;
constexpr unsigned kFullWarp = 0xffffffffu;

// Of a one-dimensional block.
__device__ inline int lane() { return static_cast<int>(threadIdx.x % kWarpSize); }
__device__ inline int warp_index() { return static_cast<int>(threadIdx.x / kWarpSize); }

// Over groups of kLanes neighbouring lanes, a power of two: each lane gets its group's.
template <int kLanes = kWarpSize, typename T>
__device__ T warp_sum(T value) {
#pragma unroll
  for (int offset = kLanes / 2; offset > 0; offset /= 2) {
    value += __shfl_xor_sync(kFullWarp, value, offset);
  }
  return value;
}

// A NaN loses against any number, as with fmaxf.
template <int kLanes = kWarpSize, typename T>
__device__ T warp_max(T value) {
#pragma unroll
  for (int offset = kLanes / 2; offset > 0; offset /= 2) {
    const T other = __shfl_xor_sync(kFullWarp, value, offset);
    value = other > value || value != value ? other : value;
  }
  return value;
}

}  // namespace cria::CRIA_GPU
