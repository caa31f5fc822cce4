// cria gatt: Ghost Attention, as a whole or step by step; cria gatt eval: what it is good for.
#include "trainers/gatt.h"

#include <memory>

#include "trainers/commands/commands.h"
#include "trainers/commands/recipe_options.h"
#include "trainers/gatt_evaluation.h"

namespace cria {

namespace {

void add_evaluation(CLI::App& gatt) {
  CLI::App* command = gatt.add_subcommand(
      "eval", "how long models hold to an instruction: the share of answers that follow, by turn");
  auto options = std::make_shared<GattEvaluationOptions>();
  auto& sampling = options->sampling.gatt;
  sampling.temperature = 0;
  command
      ->add_option("--model", options->models,
                   "NAME=DIRECTORY, or a directory; may be repeated, before and after")
      ->required()
      ->allow_extra_args(false);
  command->add_option("--data", options->data, "dialogues with an instruction each")->required();
  command->add_option("--reward-model", options->reward_model,
                      "judges instructions that no checker knows");
  command
      ->add_option("--held-out", options->held_out, "kinds never trained on, separated by commas")
      ->delimiter(',');
  command->add_option("--output", options->output, "JSON file for the figures");
  command->add_option("--plot", options->plot, "SVG file: the share by turn");
  command->add_option("--placement", sampling.placement, "of the instruction: user or system")
      ->capture_default_str();
  command->add_option("--max-turns", sampling.max_turns, "of a dialogue")->capture_default_str();
  command->add_option("--max-new-tokens", sampling.max_new_tokens, "longest answer")
      ->capture_default_str();
  command->add_option("--temperature", sampling.temperature, "0: always the likeliest token")
      ->capture_default_str();
  command->add_option("--slots", sampling.slots, "answers decoded side by side")
      ->capture_default_str();
  command->add_option("--seed", options->sampling.training.seed, "of the draws")
      ->capture_default_str();
  command->add_option("--device", options->inference.device, "auto, cpu, cuda or emulated")
      ->capture_default_str();
  command->add_option("--precision", options->inference.precision, "fp32 or bf16")
      ->capture_default_str();
  command->callback([options] {
    const int exit_code = evaluate_gatt(*options);
    if (exit_code != 0) throw CLI::RuntimeError(exit_code);
  });
}

}  // namespace

void add_gatt_command(CLI::App& app) {
  struct Options : RecipeOptions {
    std::string step = "all";
  };
  CLI::App* command =
      app.add_subcommand("gatt", "Ghost Attention: an instruction that holds over a dialogue");
  auto options = std::make_shared<Options>();
  add_recipe_options(*command, *options);
  command
      ->add_option("--step", options->step,
                   "lists, instructions, sample, examples, train or preferences alone; all: every "
                   "one but preferences")
      ->capture_default_str();
  add_evaluation(*command);
  command->require_subcommand(0, 1);
  command->callback([options, command] {
    if (!command->get_subcommands().empty()) return;
    run_recipe<GattConfig>(*options,
                           [&](const GattConfig& config, const std::string& resolved_config) {
                             return gatt(config, resolved_config, parse_gatt_step(options->step));
                           });
  });
}

}  // namespace cria
