#include <dlfcn.h>

#include "cria/core/error.h"

#include "kernels/runtime/cublaslt.h"

namespace cria::cuda {

namespace {

// What is on the loader's path (LD_LIBRARY_PATH, ldconfig), else in the toolkit of the build.
void* open_library() {
  const std::string name = fmt::format("libcublasLt.so.{}", CUBLAS_VER_MAJOR);
  void* library = dlopen(name.c_str(), RTLD_NOW);
  if (library) return library;
  const std::string reason = dlerror();
  library = dlopen((std::string(CRIA_CUDA_LIBRARIES "/") + name).c_str(), RTLD_NOW);
  if (library) return library;
  throw failure("cuBLASLt", reason,
                "install the CUDA Toolkit's cuBLAS, or name the folder of another copy (PyTorch "
                "brings one: nvidia/*/lib) in LD_LIBRARY_PATH");
}

template <typename Function>
void find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  if (!function) throw failure("cuBLASLt", fmt::format("the library has no {}", name));
}

CublasLt load() {
  void* library = open_library();
  CublasLt functions;
#define CRIA_FIND(name) find(library, #name, functions.name);
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
