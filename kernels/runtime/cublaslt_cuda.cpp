#include "cria/core/error.h"

#include "kernels/runtime/cublaslt.h"
#include "kernels/runtime/shared_library.h"

namespace cria::cuda {

namespace {

CublasLt load() {
  const SharedLibrary library("cuBLASLt", fmt::format("libcublasLt.so.{}", CUBLAS_VER_MAJOR),
                              "install the CUDA Toolkit's cuBLAS");
  CublasLt functions;
#define CRIA_FIND(name) library.find(#name, functions.name);
  CRIA_CUBLASLT_FUNCTIONS(CRIA_FIND)
#undef CRIA_FIND
  return functions;
}

}  // namespace

const CublasLt& cublaslt() {
  static const CublasLt functions = load();
  return functions;
}

}  // namespace cria::cuda
