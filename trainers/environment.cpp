#include "trainers/environment.h"

#include <fstream>
#include <nlohmann/json.hpp>

namespace cria {

namespace {

std::string processor() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) {
      return line.substr(colon + 2);
    }
  }
  return "unknown";
}

}  // namespace

nlohmann::ordered_json environment(const Backend& backend, const Communicator& communicator) {
  return {{"cria", CRIA_VERSION},
          {"compiler", __VERSION__},
          {"processor", processor()},
          {"device", backend.description()},
          {"ranks", communicator.size()}};
}

}  // namespace cria
