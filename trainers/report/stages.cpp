#include "trainers/report/stages.h"

#include <algorithm>

namespace cria {

StageName stage_name(const Place& place) {
  const size_t file = place.name.rfind('/') + 1;  // 0 where there is no directory
  const size_t dot = place.name.find('.', file);
  StageName name{.stage = place.name.substr(0, dot), .variant = {}};
  if (dot == std::string::npos) return name;
  name.variant = place.name.substr(dot + 1);
  const size_t end = name.variant.rfind("figures");
  if (end != std::string::npos && end + 7 == name.variant.size()) {
    name.variant.erase(end == 0 ? 0 : end - 1);
  }
  return name;
}

std::string variant_title(const std::string& variant) {
  const bool is_temperature = variant.size() > 1 && variant[0] == 't' &&
                              std::all_of(variant.begin() + 1, variant.end(), [](char c) {
                                return (c >= '0' && c <= '9') || c == '.';
                              });
  return is_temperature ? "temperature " + variant.substr(1) : variant;
}

}  // namespace cria
