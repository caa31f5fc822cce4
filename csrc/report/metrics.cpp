#include "cria/report/metrics.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "cria/core/error.h"

namespace cria {

namespace {

// The lines of steps up to last_step.
std::string kept_lines(const std::string& path, int64_t last_step) {
  std::string kept;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const auto object = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!object.is_object() || !object.contains("step")) continue;
    if (object["step"].get<int64_t>() <= last_step) kept += line + "\n";
  }
  return kept;
}

}  // namespace

MetricsFile::MetricsFile(const std::string& path, int64_t last_step) : path_(path) {
  const std::string kept = last_step > 0 ? kept_lines(path, last_step) : "";
  file_.open(path, std::ios::trunc);
  file_ << kept << std::flush;
  if (!file_) throw system_failure(path, "cannot write");
}

void MetricsFile::write(int64_t step, const std::vector<std::pair<std::string, double>>& figures) {
  nlohmann::ordered_json object;
  object["step"] = step;
  for (const auto& [name, value] : figures) {
    object[name] = std::isfinite(value) ? nlohmann::ordered_json(value) : nlohmann::ordered_json();
  }
  file_ << object.dump() << "\n" << std::flush;
  if (!file_) throw system_failure(path_, "cannot write");
}

}  // namespace cria
