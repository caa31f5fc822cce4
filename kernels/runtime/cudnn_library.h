// cuDNN's functions beside its graphs, loaded, and the check of their results.
#pragma once

#include <cudnn.h>

#include "cria/core/error.h"

namespace cria::cuda {

#define CRIA_CUDNN_FUNCTIONS(FUNCTION) \
  FUNCTION(cudnnCreate)                \
  FUNCTION(cudnnDestroy)               \
  FUNCTION(cudnnGetErrorString)        \
  FUNCTION(cudnnGetVersion)            \
  FUNCTION(cudnnSetStream)

struct Cudnn {
#define CRIA_DECLARE(name) decltype(&::name) name;
  CRIA_CUDNN_FUNCTIONS(CRIA_DECLARE)
#undef CRIA_DECLARE
  void* handle = nullptr;  // of the library, as dlopen gave it
};

// Throws an Error that says what could not be found.
const Cudnn& cudnn();

inline void check_cudnn(cudnnStatus_t status, const char* call, const char* file, int line) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  throw failure(fmt::format("{} ({}:{})", call, file, line), cudnn().cudnnGetErrorString(status),
                "set CUDNN_LOGLEVEL_DBG=2 to see what cuDNN objects to, or training.attention to "
                "native");
}

}  // namespace cria::cuda

#define CRIA_CUDNN(call) \
  ::cria::cuda::check_cudnn(::cria::cuda::cudnn().call, #call, __FILE__, __LINE__)
