// cuBLASLt, loaded when a GPU is first used (shared_library.h).
#pragma once

#include <cublasLt.h>

namespace cria::cuda {

#define CRIA_CUBLASLT_FUNCTIONS(FUNCTION)        \
  FUNCTION(cublasLtCreate)                       \
  FUNCTION(cublasLtGetStatusString)              \
  FUNCTION(cublasLtGetVersion)                   \
  FUNCTION(cublasLtMatmul)                       \
  FUNCTION(cublasLtMatmulAlgoCheck)              \
  FUNCTION(cublasLtMatmulAlgoGetHeuristic)       \
  FUNCTION(cublasLtMatmulDescCreate)             \
  FUNCTION(cublasLtMatmulDescDestroy)            \
  FUNCTION(cublasLtMatmulDescSetAttribute)       \
  FUNCTION(cublasLtMatmulPreferenceCreate)       \
  FUNCTION(cublasLtMatmulPreferenceDestroy)      \
  FUNCTION(cublasLtMatmulPreferenceSetAttribute) \
  FUNCTION(cublasLtMatrixLayoutCreate)           \
  FUNCTION(cublasLtMatrixLayoutDestroy)

struct CublasLt {
#define CRIA_DECLARE(name) decltype(&::name) name;
  CRIA_CUBLASLT_FUNCTIONS(CRIA_DECLARE)
#undef CRIA_DECLARE
};

// Throws an Error that says what could not be found. Never unloaded.
const CublasLt& cublaslt();

}  // namespace cria::cuda
