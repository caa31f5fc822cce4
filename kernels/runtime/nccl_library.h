// NCCL's functions, loaded, and the check of their results.
#pragma once

#include <nccl.h>

#include "cria/core/error.h"

namespace cria::cuda {

#define CRIA_NCCL_FUNCTIONS(FUNCTION) \
  FUNCTION(ncclAllReduce)             \
  FUNCTION(ncclCommAbort)             \
  FUNCTION(ncclCommDestroy)           \
  FUNCTION(ncclCommGetAsyncError)     \
  FUNCTION(ncclCommInitRank)          \
  FUNCTION(ncclGetErrorString)        \
  FUNCTION(ncclGetLastError)          \
  FUNCTION(ncclGetUniqueId)           \
  FUNCTION(ncclGetVersion)

struct Nccl {
#define CRIA_DECLARE(name) decltype(&::name) name;
  CRIA_NCCL_FUNCTIONS(CRIA_DECLARE)
#undef CRIA_DECLARE
};

// Throws an Error that says what could not be found.
const Nccl& nccl();

inline void check_nccl(ncclResult_t result, const char* call, const char* file, int line) {
  if (result == ncclSuccess) return;
  throw failure(
      fmt::format("{} ({}:{})", call, file, line),
      fmt::format("{}: {}", nccl().ncclGetErrorString(result), nccl().ncclGetLastError(nullptr)),
      "set NCCL_DEBUG=INFO to see what NCCL objects to, or training.reduction to host");
}

}  // namespace cria::cuda

#define CRIA_NCCL(call) \
  ::cria::cuda::check_nccl(::cria::cuda::nccl().call, #call, __FILE__, __LINE__)
