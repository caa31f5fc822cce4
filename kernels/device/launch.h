// launch(kernel, grid, block, shared_bytes, stream, args...) starts a kernel on a stream; throws an
// Error when it cannot start. Grids must not be empty: launchers return early when there is nothing
// to do.
#pragma once

#include <string>
#include <utility>

#include "cria/core/error.h"

#include "kernels/device/device.h"

#if defined(__CUDACC__) || defined(CRIA_CUDA_RUNTIME)

namespace cria::cuda {

// What a kernel may ask for without raising its limit first.
constexpr size_t kDefaultSharedBytes = 48 * 1024;

inline void check_launch(cudaError_t status, const void* kernel, const std::string& what) {
  if (status == cudaSuccess) return;
  const char* name = nullptr;
  if (cudaFuncGetName(&name, kernel) != cudaSuccess || !name) name = "unknown";
  cudaGetLastError();  // the error is reported here: later calls must not see it
  throw failure(fmt::format("kernel {}", name),
                fmt::format("{}: {}", what, cudaGetErrorString(status)));
}

template <typename... Parameters, typename... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes,
            Stream stream, Arguments&&... arguments) {
  const void* function = reinterpret_cast<const void*>(kernel);
  if (shared_bytes > kDefaultSharedBytes) {
    check_launch(cudaFuncSetAttribute(function, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                      static_cast<int>(shared_bytes)),
                 function, fmt::format("{} bytes of shared memory", shared_bytes));
  }
  cudaLaunchConfig_t config = {};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared_bytes;
  config.stream = stream;
  check_launch(cudaLaunchKernelEx(&config, kernel, std::forward<Arguments>(arguments)...), function,
               "cannot be launched");
}

}  // namespace cria::cuda

#else

#include "kernels/emulator/launch.h"

#endif
