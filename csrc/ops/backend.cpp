#include "cria/ops/backend.h"

namespace cria {

std::unique_ptr<Backend> make_cpu_backend();

std::unique_ptr<Backend> make_backend(const std::string& device) {
  if (device == "auto" || device == "cpu") return make_cpu_backend();
  if (device == "cuda" || device == "emulated") {
    throw input_error("training.device",
                      fmt::format("this build of cria has no '{}' backend", device), "use cpu");
  }
  throw input_error("training.device", fmt::format("'{}' is no device", device),
                    "one of auto, cpu, cuda, emulated");
}

}  // namespace cria
