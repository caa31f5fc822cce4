// One source of training or evaluation data, as the config names it.
#pragma once

#include <string>

namespace cria {

struct DataPath {
  std::string path;
  double weight = 1.0;  // share of the mixture, relative to the other sources
  double share = 1.0;   // of its examples, drawn once by the seed; the others are left out

  bool operator==(const DataPath&) const = default;
};

}  // namespace cria
