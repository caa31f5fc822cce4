// cria gatt: Ghost Attention, as a whole or step by step; cria gatt eval and cria gatt attention:
// what it is good for.
#include "trainers/gatt.h"

#include <memory>

#include "trainers/commands/commands.h"
#include "trainers/commands/recipe_options.h"
#include "trainers/gatt_attention.h"
#include "trainers/gatt_evaluation.h"

namespace cria {

namespace {

// Which models answer which dialogues, and how: first in the help, and last.
void add_models(CLI::App& command, DialogueOptions& options) {
  command
      .add_option("--model", options.models,
                  "NAME=DIRECTORY, or a directory; may be repeated, before and after")
      ->required()
      ->allow_extra_args(false);
  command.add_option("--data", options.data, "dialogues with an instruction each")->required();
}

void add_answering(CLI::App& command, DialogueOptions& options) {
  auto& sampling = options.sampling.gatt;
  sampling.temperature = 0;
  command.add_option("--placement", sampling.placement, "of the instruction: user or system")
      ->capture_default_str();
  command.add_option("--max-turns", sampling.max_turns, "of a dialogue")->capture_default_str();
  command.add_option("--max-new-tokens", sampling.max_new_tokens, "longest answer")
      ->capture_default_str();
  command.add_option("--temperature", sampling.temperature, "0: always the likeliest token")
      ->capture_default_str();
  command.add_option("--slots", sampling.slots, "answers decoded side by side")
      ->capture_default_str();
  command.add_option("--seed", options.sampling.training.seed, "of the draws")
      ->capture_default_str();
  command.add_option("--device", options.inference.device, "auto, cpu, cuda or emulated")
      ->capture_default_str();
  command.add_option("--precision", options.inference.precision, "fp32 or bf16")
      ->capture_default_str();
}

template <typename Run>
void set_callback(CLI::App& command, Run run) {
  command.callback([run] {
    const int exit_code = run();
    if (exit_code != 0) throw CLI::RuntimeError(exit_code);
  });
}

void add_evaluation(CLI::App& gatt) {
  CLI::App* command = gatt.add_subcommand(
      "eval", "how long models hold to an instruction: the share of answers that follow, by turn");
  auto options = std::make_shared<GattEvaluationOptions>();
  add_models(*command, *options);
  command->add_option("--reward-model", options->reward_model,
                      "judges instructions that no checker knows");
  command
      ->add_option("--held-out", options->held_out, "kinds never trained on, separated by commas")
      ->delimiter(',');
  command->add_option("--output", options->output, "JSON file for the figures");
  command->add_option("--plot", options->plot, "SVG file: the share by turn");
  add_answering(*command, *options);
  set_callback(*command, [options] { return evaluate_gatt(*options); });
}

void add_attention(CLI::App& gatt) {
  CLI::App* command = gatt.add_subcommand(
      "attention", "what models look at while they answer a dialogue: a heat map, side by side");
  auto options = std::make_shared<GattAttentionOptions>();
  add_models(*command, *options);
  command->add_option("--dialogue", options->dialogue, "which of the data's, from 1")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--bin", options->bin, "neighbouring tokens in a cell")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command->add_option("--output", options->output, "JSON file for the weights");
  command->add_option("--plot", options->plot, "SVG file: the heat map");
  add_answering(*command, *options);
  set_callback(*command, [options] { return show_gatt_attention(*options); });
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
  add_attention(*command);
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
