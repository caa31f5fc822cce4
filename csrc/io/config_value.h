// One value of the config: from YAML into the field it belongs to, and back to YAML text.
#pragma once

#include <functional>
#include <string>

#include <yaml-cpp/yaml.h>

#include "cria/core/error.h"
#include "cria/io/config_schema.h"

namespace cria {

// Where a value stands, for messages: "recipe.yaml:12" or "--set training.seed=x".
struct ConfigPlace {
  std::string source;
  bool has_lines = true;

  std::string at(const YAML::Node& node) const;
};

struct ConfigReading {
  const ConfigPlace& place;
  const std::string& path;                                            // of the key
  std::function<void(double value, const std::string& where)> check;  // bounds of each number

  Error error(const YAML::Node& node, const std::string& problem,
              const std::string& remedy = {}) const;
};

void read_config_value(const YAML::Node& node, const ConfigSchema::Field& field,
                       const ConfigReading& reading);

// One line; numbers in their shortest form that reads back to the same bits.
std::string print_config_value(const ConfigSchema::Field& field);

std::string describe_node(const YAML::Node& node);  // "a list", "the text 'x'", …

}  // namespace cria
