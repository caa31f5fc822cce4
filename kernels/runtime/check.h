// Calls of CUDA's libraries: what fails is thrown with the call, where it stands and the library's
// own words.
#pragma once

#include <cuda_runtime.h>

#include "cria/core/error.h"

#include "kernels/runtime/cublaslt.h"

namespace cria::cuda {

inline void check_cuda(cudaError_t status, const char* call, const char* file, int line) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // the error is reported here: later calls must not see it
  throw failure(fmt::format("{} ({}:{})", call, file, line),
                fmt::format("{}: {}", cudaGetErrorName(status), cudaGetErrorString(status)),
                status == cudaErrorMemoryAllocation
                    ? "lower training.micro_batch_tokens, or free the GPU of other processes"
                    : "kernels report late: run again with CUDA_LAUNCH_BLOCKING=1 to see which op");
}

inline void check_cublas(cublasStatus_t status, const char* call, const char* file, int line) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw failure(fmt::format("{} ({}:{})", call, file, line),
                cublaslt().cublasLtGetStatusString(status),
                "set CUBLASLT_LOG_LEVEL=2 to see what the library objects to");
}

}  // namespace cria::cuda

#define CRIA_CUDA(call) ::cria::cuda::check_cuda(call, #call, __FILE__, __LINE__)
#define CRIA_CUBLAS(call) ::cria::cuda::check_cublas(call, #call, __FILE__, __LINE__)
