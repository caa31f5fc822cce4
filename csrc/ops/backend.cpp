#include "cria/ops/backend.h"

#include "kernels/runtime/make_backend.h"

namespace cria {

std::unique_ptr<Backend> make_cpu_backend();

namespace {

#ifdef CRIA_HAS_CUDA
MissingDevice missing_gpu() { return cuda::missing_device(); }
std::unique_ptr<Backend> make_cuda_backend() { return cuda::make_backend(); }
#else
MissingDevice missing_gpu() {
  return {"this build of cria has no CUDA", "use cpu, or build with -DCRIA_CUDA=on"};
}
std::unique_ptr<Backend> make_cuda_backend() { return nullptr; }
#endif

std::unique_ptr<Backend> make_emulated_backend() {
#ifdef CRIA_HAS_EMULATOR
  return emulated::make_backend();
#else
  throw input_error("device", "this build of cria has no emulator", "use cpu or cuda");
#endif
}

}  // namespace

std::unique_ptr<Backend> make_backend(const std::string& device) {
  if (device == "cpu") return make_cpu_backend();
  if (device == "emulated") return make_emulated_backend();
  if (device == "auto") return missing_gpu() ? make_cpu_backend() : make_cuda_backend();
  if (device == "cuda") {
    if (const MissingDevice missing = missing_gpu()) {
      throw input_error("device", "cuda: " + missing.problem, missing.remedy);
    }
    return make_cuda_backend();
  }
  throw input_error("device", fmt::format("'{}' is no device", device),
                    "one of auto, cpu, cuda, emulated");
}

std::vector<std::string> usable_devices() {
  std::vector<std::string> devices = {"cpu"};
#ifdef CRIA_HAS_EMULATOR
  devices.push_back("emulated");
#endif
  if (!missing_gpu()) devices.push_back("cuda");
  return devices;
}

}  // namespace cria
