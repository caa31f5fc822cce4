// The options of a command that runs what a YAML file says.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "cria/io/config_schema.h"

namespace cria {

struct RecipeOptions {
  std::string recipe;
  std::vector<std::string> assignments;
  bool print_config = false;
};

// The recipe, --set and --print-config.
void add_recipe_options(CLI::App& command, RecipeOptions& options);

// Runs `run(config, resolved_config)`, whose exit code it passes on, or prints the keys in force.
// Config: TrainConfig, or one with a group of its own added.
template <typename Config, typename Run>
void run_recipe(const RecipeOptions& options, const Run& run) {
  Config config;
  ConfigSchema schema;
  declare(schema, config);
  if (!options.recipe.empty()) schema.read_file(options.recipe);
  for (const std::string& assignment : options.assignments) schema.set(assignment);
  if (options.print_config) {
    fmt::print("{}", schema.print());
    return;
  }
  schema.check();
  const int exit_code = run(config, schema.print());
  if (exit_code != 0) throw CLI::RuntimeError(exit_code);
}

}  // namespace cria
