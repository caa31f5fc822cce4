// What every kernel source includes: CUDA on the GPU, its emulation on the host.
//
// The sources of kernels/ are compiled twice, by nvcc into namespace cria::cuda and by the host
// compiler into cria::emulated (docs/emulator.md). CRIA_GPU names the one being compiled; whatever
// a source defines stands in `namespace cria::CRIA_GPU`, so that one program can hold both.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__CUDACC__) || defined(CRIA_CUDA_RUNTIME)  // the latter: host code with CUDA's headers

#include <cuda_runtime.h>

#define CRIA_GPU cuda

namespace cria::cuda {

using Stream = cudaStream_t;

// Where a device function was called from: known to the emulator, which names it in its errors.
struct CallSite {
  __host__ __device__ static constexpr CallSite current() { return {}; }
};

#ifdef __CUDACC__

// Static shared memory: `__shared__ SharedArray<float, 256> tile;`. Trivial, as CUDA wants it.
template <typename T, int kElements>
class SharedArray {
 public:
  __device__ T& operator[](int i) { return values_[i]; }
  __device__ T* data() { return values_; }
  __device__ static constexpr int size() { return kElements; }

 private:
  alignas(16) T values_[kElements];
};

// The dynamic shared memory of the block, aligned to 128 bytes.
template <typename T>
__device__ T* dynamic_shared() {
  extern __shared__ __align__(128) unsigned char cria_dynamic_shared_memory[];
  return reinterpret_cast<T*>(cria_dynamic_shared_memory);
}

#endif

}  // namespace cria::cuda

#else

#define CRIA_GPU emulated

#include "kernels/emulator/language.h"

#endif

#include "kernels/device/launch.h"
