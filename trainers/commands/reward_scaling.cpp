// cria reward-scaling: reward models by the amount of data and by their size.
#include "trainers/reward_scaling.h"

#include <memory>

#include "trainers/commands/commands.h"

namespace cria {

void add_reward_scaling_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "reward-scaling", "train reward models on growing shares of the data, compare them");
  auto options = std::make_shared<RewardScalingOptions>();
  command->add_option("recipe", options->recipe, "YAML file of cria reward");
  command->add_option("--set", options->assignments, "key.path=value, after the file's")
      ->allow_extra_args(false);
  command->add_option("--shares", options->shares, "of one epoch, separated by commas")
      ->delimiter(',')
      ->capture_default_str();
  command
      ->add_option("--models", options->models,
                   "directories to start from, separated by commas; default: the recipe's")
      ->delimiter(',');
  command->callback([options] {
    const int exit_code = reward_scaling(*options);
    if (exit_code != 0) throw CLI::RuntimeError(exit_code);
  });
}

}  // namespace cria
