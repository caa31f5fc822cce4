#include <cstdlib>

#include <dlfcn.h>
#include <glob.h>

#include "cria/core/error.h"

#include "kernels/runtime/cublaslt.h"

namespace cria::cuda {

namespace {

std::string file_name() { return fmt::format("libcublasLt.so.{}", CUBLAS_VER_MAJOR); }

std::string folder_of(const char* variable) {
  const char* value = std::getenv(variable);
  return value ? value : "";
}

// Files that a pattern of the shell matches, in the order of their names.
std::vector<std::string> matches(const std::string& pattern) {
  std::vector<std::string> files;
  glob_t found = {};
  if (glob(pattern.c_str(), 0, nullptr, &found) == 0) {
    files.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  }
  globfree(&found);
  return files;
}

void* open_library() {
  std::string reason;
  for (const std::string& place : cublaslt_places()) {
    if (void* library = dlopen(place.c_str(), RTLD_NOW)) return library;
    if (reason.empty()) reason = dlerror();
  }
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

std::vector<std::string> cublaslt_places() {
  std::vector<std::string> places = {file_name()};
  for (const char* variable : {"CUDA_HOME", "CUDA_PATH"}) {
    const std::string toolkit = folder_of(variable);
    if (!toolkit.empty()) places.push_back(toolkit + "/lib64/" + file_name());
  }
  places.push_back(CRIA_CUDA_LIBRARIES "/" + file_name());
  places.push_back("/usr/local/cuda/lib64/" + file_name());
  for (const std::string& prefix :
       {folder_of("VIRTUAL_ENV"), folder_of("CONDA_PREFIX"), folder_of("HOME") + "/.local",
        std::string("/usr/local"), std::string("/usr")}) {
    if (prefix.empty()) continue;
    const auto wheels =
        matches(prefix + "/lib/python3*/*-packages/nvidia/*/lib/" + file_name());  // site- or dist-
    places.insert(places.end(), wheels.begin(), wheels.end());
  }
  return places;
}

const CublasLt& cublaslt() {
  static const CublasLt functions = load();
  return functions;
}

}  // namespace cria::cuda
