// cria distill: context distillation of safety, as a whole or step by step.
#include "trainers/distill.h"

#include <memory>

#include "trainers/commands/commands.h"
#include "trainers/commands/recipe_options.h"

namespace cria {

void add_distill_command(CLI::App& app) {
  struct Options : RecipeOptions {
    std::string step = "all";
  };
  CLI::App* command = app.add_subcommand(
      "distill", "safety context distillation: answers given with a pre-prompt, learnt without");
  auto options = std::make_shared<Options>();
  add_recipe_options(*command, *options);
  command->add_option("--step", options->step, "sample, examples or train alone; all: every one")
      ->capture_default_str();
  command->callback([options] {
    run_recipe<DistillConfig>(
        *options, [&](const DistillConfig& config, const std::string& resolved_config) {
          return distill(config, resolved_config, parse_distill_step(options->step));
        });
  });
}

}  // namespace cria
