#include "kernels/runtime/check.h"
#include "kernels/runtime/cudnn_attention.h"
#include "kernels/runtime/cudnn_library.h"
#include "kernels/runtime/platform.h"
#include "kernels/runtime/shared_library.h"

namespace cria::cuda {

namespace {

Cudnn load() {
  const SharedLibrary library("cuDNN", fmt::format("libcudnn.so.{}", CUDNN_MAJOR),
                              "install cuDNN 9 (PyPI: nvidia-cudnn-cu13)");
  Cudnn functions;
#define CRIA_FIND(name) library.find(#name, functions.name);
  CRIA_CUDNN_FUNCTIONS(CRIA_FIND)
#undef CRIA_FIND
  functions.handle = library.handle();
  return functions;
}

std::string version_text(int64_t number) {
  return fmt::format("{}.{}.{}", number / 10000, number % 10000 / 100, number % 100);
}

}  // namespace

const Cudnn& cudnn() {
  static const Cudnn functions = load();
  return functions;
}

// As its frontend says: sdpa_backward with a deterministic algorithm and ragged offsets.
int64_t cudnn_needed_by(int major) {
  switch (major) {
    case 9:
      return 92500;
    case 10:
      return 91800;
    default:
      return 0;
  }
}

MissingDevice missing_cudnn_attention() {
  try {
    const auto version = static_cast<int64_t>(cudnn().cudnnGetVersion());
    if (const MissingDevice missing = missing_device()) return missing;
    stream();  // first of all: it chooses the GPU
    int index = 0;
    int major = 0;
    CRIA_CUDA(cudaGetDevice(&index));
    CRIA_CUDA(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, index));
    const int64_t needed = cudnn_needed_by(major);
    if (needed == 0) {
      return {fmt::format("it has no deterministic backward pass of packed sequences on GPUs of "
                          "compute capability {}",
                          major),
              "set it to native"};
    }
    if (version < needed) {
      return {fmt::format("cuDNN {} has no deterministic backward pass of packed sequences on this "
                          "GPU in little memory, {} has",
                          version_text(version), version_text(needed)),
              "install that (PyPI: nvidia-cudnn-cu13) and name its folder in LD_LIBRARY_PATH, or "
              "set it to native"};
    }
    return {};
  } catch (const Error& error) {
    return {error.what(), "or set it to native"};
  }
}

}  // namespace cria::cuda
