// Reductions over a one-dimensional block of kThreads threads. All threads take part and all get
// the result: each warp reduces by its butterfly, then every warp reduces the warps' results the
// same way, so the order is fixed and every thread holds the same bits.
#pragma once

#include "kernels/device/device.h"
#include "kernels/device/warp.h"

namespace cria::CRIA_GPU {

// `reduce` combines a warp's values, `identity` stands for the warps that the block does not have.
template <int kThreads, typename T, typename Reduce>
__device__ T block_reduce(T value, T identity, Reduce reduce) {
  static_assert(kThreads % kWarpSize == 0 && kThreads <= 1024, "whole warps");
  constexpr int kWarps = kThreads / kWarpSize;
  value = reduce(value);
  if constexpr (kWarps > 1) {
    __shared__ SharedArray<T, kWarps> of_warps;
    __syncthreads();  // the results of an earlier call have been read
    if (lane() == 0) of_warps[warp_index()] = value;
    __syncthreads();
    value = reduce(lane() < kWarps ? of_warps[lane()] : identity);
  }
  return value;
}

template <int kThreads, typename T>
__device__ T block_sum(T value) {
  return block_reduce<kThreads>(value, T(0), [](T v) { return warp_sum(v); });
}

template <int kThreads, typename T>
__device__ T block_max(T value) {
  // Any value will do for warps that are not there: the maximum does not change by a repetition.
  return block_reduce<kThreads>(value, value, [](T v) { return warp_max(v); });
}

}  // namespace cria::CRIA_GPU
