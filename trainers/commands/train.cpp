// The trainers' commands: a YAML recipe, --set and --print-config.
#include <cstdlib>
#include <memory>

#include "trainers/commands/commands.h"
#include "trainers/dpo.h"
#include "trainers/ppo.h"
#include "trainers/pretrain.h"
#include "trainers/rejection.h"
#include "trainers/reward.h"
#include "trainers/sft.h"

namespace cria {

namespace {

struct TrainOptions {
  std::string recipe;
  std::vector<std::string> assignments;
  bool print_config = false;
};

// Config: TrainConfig, or one with a group of its own added.
template <typename Config>
void add_trainer(CLI::App& app, const std::string& name, const std::string& description,
                 int (*trainer)(const Config&, const std::string& resolved_config)) {
  CLI::App* command = app.add_subcommand(name, description);
  auto options = std::make_shared<TrainOptions>();
  command->add_option("recipe", options->recipe, "YAML file with the run's settings");
  command->add_option("--set", options->assignments, "key.path=value, after the file's")
      ->allow_extra_args(false);
  command->add_flag("--print-config", options->print_config,
                    "print every key in force with its meaning, and stop");
  command->callback([options, trainer] {
    Config config;
    ConfigSchema schema;
    declare(schema, config);
    if (!options->recipe.empty()) schema.read_file(options->recipe);
    for (const std::string& assignment : options->assignments) schema.set(assignment);
    if (options->print_config) {
      fmt::print("{}", schema.print());
      return;
    }
    schema.check();
    const int exit_code = trainer(config, schema.print());
    if (exit_code != 0) throw CLI::RuntimeError(exit_code);
  });
}

}  // namespace

void add_pretrain_command(CLI::App& app) {
  add_trainer(app, "pretrain", "train on documents from a random or pretrained start", pretrain);
}

void add_sft_command(CLI::App& app) {
  add_trainer(app, "sft", "fine-tune on prompts and answers", sft);
}

void add_dpo_command(CLI::App& app) {
  add_trainer(app, "dpo", "direct preference optimisation on pairs of answers", dpo);
}

void add_reward_command(CLI::App& app) {
  add_trainer(app, "reward", "train a reward model on pairs of answers", reward);
}

void add_rejection_command(CLI::App& app) {
  add_trainer(app, "rejection", "sample answers, and fine-tune on those that reward models prefer",
              rejection);
}

void add_ppo_command(CLI::App& app) {
  add_trainer(app, "ppo", "reinforcement learning against reward models", ppo);
}

}  // namespace cria
