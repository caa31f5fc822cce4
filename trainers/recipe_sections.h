// Recipes that hold more than the keys of one trainer: sections for several of them, or lists of
// what differs between runs. The keys within a section are a schema's; this reads them out of the
// file that they are a part of.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include <yaml-cpp/yaml.h>

#include "cria/io/config_schema.h"

namespace cria {

// A YAML file with keys at its top. An input Error names the line that is wrong.
YAML::Node read_recipe(const std::string& path);

std::string place_in(const std::string& path, const YAML::Node& node);  // FILE:LINE

// The keys of a map that is part of the file `path`, as those of `group` (empty: of the schema's
// top), but for those of the top for which `left_out` is true. Errors name their lines.
void read_section(ConfigSchema& schema, const YAML::Node& map, const std::string& group,
                  const std::string& path,
                  const std::function<bool(const std::string&)>& left_out = {});

// The settings of one run that a recipe makes, as its trainer takes them.
template <typename Config>
struct StageSettings {
  StageSettings() { declare(schema, config); }

  // What the recipe's owner gives: models, files and directories.
  template <typename Value>
  void set(const std::string& key, const Value& value) {
    schema.set(key + "=" + nlohmann::json(value).dump());
  }
  std::string text() const { return schema.print(); }

  Config config;
  ConfigSchema schema;
};

}  // namespace cria
