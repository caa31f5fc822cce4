// cuBLASLt, loaded when a GPU is first used: the library takes a tenth of a second to load, which
// runs on a CPU should not pay, and cria starts on machines that do not have it.
#pragma once

#include <string>
#include <vector>

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

// Where the library is looked for, in this order: the loader's path (LD_LIBRARY_PATH, ldconfig),
// the toolkit (CUDA_HOME, CUDA_PATH, that of the build, /usr/local/cuda), PyTorch's wheels (of the
// virtual or Conda environment, the user, the machine).
std::vector<std::string> cublaslt_places();

// Throws an Error that says what could not be found. Never unloaded.
const CublasLt& cublaslt();

}  // namespace cria::cuda
