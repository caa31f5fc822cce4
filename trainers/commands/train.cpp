// The trainers' commands: a YAML recipe, --set and --print-config.
#include <cstdlib>
#include <memory>

#include "trainers/commands/commands.h"
#include "trainers/commands/recipe_options.h"
#include "trainers/dpo.h"
#include "trainers/ppo.h"
#include "trainers/pretrain.h"
#include "trainers/rejection.h"
#include "trainers/reward.h"
#include "trainers/sft.h"

namespace cria {

namespace {

template <typename Config>
void add_trainer(CLI::App& app, const std::string& name, const std::string& description,
                 int (*trainer)(const Config&, const std::string& resolved_config)) {
  CLI::App* command = app.add_subcommand(name, description);
  auto options = std::make_shared<RecipeOptions>();
  add_recipe_options(*command, *options);
  command->callback([options, trainer] { run_recipe<Config>(*options, trainer); });
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
