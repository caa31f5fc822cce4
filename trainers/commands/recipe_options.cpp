#include "trainers/commands/recipe_options.h"

namespace cria {

void add_recipe_options(CLI::App& command, RecipeOptions& options) {
  command.add_option("recipe", options.recipe, "YAML file with the run's settings");
  command.add_option("--set", options.assignments, "key.path=value, after the file's")
      ->allow_extra_args(false);
  command.add_flag("--print-config", options.print_config,
                   "print every key in force with its meaning, and stop");
}

}  // namespace cria
