// cria study: variants of one fine-tuning recipe, trained and compared.
#include "trainers/study.h"

#include <memory>

#include "trainers/commands/commands.h"

namespace cria {

void add_study_command(CLI::App& app) {
  struct Options {
    std::string recipe;
    std::vector<std::string> assignments;
    bool print_config = false;
  };
  CLI::App* command =
      app.add_subcommand("study", "fine-tune on variants of the data, and compare what comes out");
  auto options = std::make_shared<Options>();
  command->add_option("recipe", options->recipe, "YAML file with all variants")->required();
  command
      ->add_option("--set", options->assignments,
                   "key.path=value of every variant, or study.key=value, after the file's")
      ->allow_extra_args(false);
  command->add_flag("--print-config", options->print_config,
                    "print the settings of every variant with their meaning, and stop");
  command->callback([options] {
    const StudyRecipe recipe(options->recipe, options->assignments);
    if (options->print_config) {
      fmt::print("{}", recipe.print());
      return;
    }
    if (const int exit_code = study(recipe)) throw CLI::RuntimeError(exit_code);
  });
}

}  // namespace cria
