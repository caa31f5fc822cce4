// cria rlhf: all iterations from one recipe.
#include "trainers/rlhf.h"

#include <memory>

#include "trainers/commands/commands.h"

namespace cria {

void add_rlhf_command(CLI::App& app) {
  struct Options {
    std::string recipe;
    std::vector<std::string> assignments;
    bool print_config = false;
  };
  CLI::App* command = app.add_subcommand(
      "rlhf", "the iterations V1 to Vn: preferences, reward models, rejection sampling, PPO");
  auto options = std::make_shared<Options>();
  command->add_option("recipe", options->recipe, "YAML file with all stages")->required();
  command
      ->add_option("--set", options->assignments,
                   "key.path=value, or SECTION.key.path=value, after the file's")
      ->allow_extra_args(false);
  command->add_flag("--print-config", options->print_config,
                    "print the settings of every stage with their meaning, and stop");
  command->callback([options] {
    const RlhfRecipe recipe(options->recipe, options->assignments);
    if (options->print_config) {
      fmt::print("{}", print_stages(recipe));
      return;
    }
    const int exit_code = rlhf(recipe);
    if (exit_code != 0) throw CLI::RuntimeError(exit_code);
  });
}

}  // namespace cria
