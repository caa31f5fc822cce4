// Options that the subcommands of `cria eval` have in common.
#pragma once

#include <CLI/CLI.hpp>

#include "cria/io/atomic_directory.h"

#include "trainers/commands/sampling_options.h"
#include "trainers/evaluation/reward_scorer.h"

namespace cria {

inline void add_device_options(CLI::App& command, InferenceOptions& options) {
  command.add_option("--device", options.device, "auto, cpu, cuda or emulated")
      ->capture_default_str();
  command.add_option("--precision", options.precision, "fp32 or bf16")->capture_default_str();
}

// With the device and the form of prompts.
inline void add_reward_model_options(CLI::App& command, RewardScorerOptions& options) {
  command.add_option("--helpfulness", options.models.helpfulness,
                     "reward model; with --safety too the two are combined as in docs/ppo.md");
  command.add_option("--safety", options.models.safety, "reward model");
  command.add_option("--tokenizer", options.tokenizer,
                     "of the reward models, where the directory has none");
  command.add_option("--batch-tokens", options.models.batch_tokens,
                     "tokens of a reward model's pass; 0: what its longest sequence needs, at "
                     "least 2048");
  command.add_option("--separator", options.separator,
                     "between prompt and completion, instead of the chat format");
  add_device_options(command, options.inference);
}

// How answers are sampled where a model is given instead of its answers.
struct AnsweringOptions {
  std::vector<std::string> prompts;
  SamplingSettings sampling;
  GeneratorOptions generator;
  uint32_t samples = 1;
};

inline void add_prompts_option(CLI::App& command, std::vector<std::string>& prompts) {
  command
      .add_option("--prompts", prompts,
                  "JSON Lines with prompts or messages; may be repeated. For answers from a "
                  "file: where they came from, for the fields of their lines")
      ->allow_extra_args(false);
}

inline void add_answering_options(CLI::App& command, AnsweringOptions& options) {
  add_prompts_option(command, options.prompts);
  add_sampling_options(command, options.sampling, options.generator.seed);
  command.add_option("--num-samples", options.samples, "answers to each prompt")
      ->check(CLI::Range(1u, 1u << 30))
      ->capture_default_str();
  command.add_option("--slots", options.generator.slots, "sequences decoded side by side")
      ->capture_default_str();
}

// A string is a user's message, or with a separator a text to continue.
inline PromptOptions prompt_form(const std::optional<std::string>& separator) {
  return {.chat = !separator.has_value(), .separator = separator.value_or("")};
}

inline void write_figures(const std::string& path, const nlohmann::ordered_json& figures) {
  if (!path.empty()) write_file_atomically(path, figures.dump(2) + "\n");
}

}  // namespace cria
