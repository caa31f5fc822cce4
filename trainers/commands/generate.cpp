// cria generate: answers to prompts, for people or as JSON Lines.
#include <algorithm>
#include <memory>

#include "cria/io/atomic_directory.h"

#include "trainers/answering_model.h"
#include "trainers/commands/commands.h"
#include "trainers/commands/inference_options.h"
#include "trainers/commands/sampling_options.h"
#include "trainers/signals.h"

namespace cria {

namespace {

struct GenerateOptions {
  std::string model;
  InferenceOptions inference;
  std::string prompt;
  std::string prompts;
  std::string output;
  PromptOptions format;
  SamplingSettings sampling;
  GeneratorOptions generator;
  uint32_t samples = 1;
};

std::string json_line(const Prompt& prompt, uint32_t sample, const GenerationResult& result,
                      const std::string& completion) {
  return fmt::format(
      "{{\"prompt\": {}, \"sample\": {}, \"completion\": {}, \"completion_ids\": [{}], "
      "\"logprobs\": {}, \"finished_by_eos\": {}}}\n",
      prompt.given.dump(), sample, nlohmann::json(completion).dump(),
      fmt::join(result.tokens, ", "), json_list(result.logprobs), result.finished_by_eos);
}

PromptFile prompts_of(const GenerateOptions& options, AnsweringModel& model) {
  const auto check = model.checker(options.sampling);
  if (!options.prompts.empty()) {
    return read_prompts(options.prompts, options.format, model.tokenizer(), check);
  }
  PromptFile one{.prompts = {text_prompt(options.prompt, options.format, model.tokenizer())}};
  check(one.prompts.front());
  return one;
}

void run(GenerateOptions options) {
  validate(options.sampling, "generate");
  AnsweringModel model(options.model, options.inference);
  const PromptFile file = prompts_of(options, model);
  const std::vector<Prompt>& prompts = file.prompts;
  options.generator.max_context = model.context_needed(prompts, options.sampling.max_new_tokens);
  model.load(options.generator);
  const std::vector<GenerationResult> results =
      model.answer(prompts, options.sampling, options.samples);
  if (file.skipped > 0) {
    fmt::print(stderr, "{} bad lines left out, the first: {}\n", file.skipped, file.first_skipped);
  }

  std::string lines;
  for (size_t i = 0; i < results.size(); ++i) {
    if (!results[i].complete) continue;
    const Prompt& prompt = prompts[i / options.samples];
    const auto sample = static_cast<uint32_t>(i % options.samples);
    const std::string completion = model.completion_of(prompt, results[i]);
    if (!options.output.empty()) {
      lines += json_line(prompt, sample, results[i], completion);
    } else if (prompt.is_chat) {
      fmt::print("> {}\n{}\n\n", prompt.shown, completion);
    } else {
      fmt::print("{}{}\n\n", prompt.shown, completion);
    }
  }
  const bool stopped = std::any_of(results.begin(), results.end(),
                                   [](const GenerationResult& result) { return !result.complete; });
  if (!options.output.empty() && (!stopped || !lines.empty())) {
    write_file_atomically(options.output, lines);
  }
  if (stopped) {
    fmt::print(stderr, "stopped by signal {}: answers that were not complete are left out\n",
               stop_signal());
    throw CLI::RuntimeError(128 + stop_signal());
  }
}

}  // namespace

void add_generate_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("generate", "answers to prompts");
  auto options = std::make_shared<GenerateOptions>();
  add_inference_options(*command, options->model, options->inference);
  CLI::Option_group* source = command->add_option_group("prompt");
  source->add_option("--prompt", options->prompt, "a text to continue, or with --chat to answer");
  source->add_option("--prompts", options->prompts, "JSON Lines with prompts or messages");
  source->require_option(1);
  command->add_option("--output", options->output,
                      "JSON Lines to write; without it the texts are printed");
  command->add_flag("--chat", options->format.chat,
                    "prompts are user messages, in Llama 2's format");
  command->add_option("--system", options->format.system, "system message of the chats");
  add_sampling_options(*command, options->sampling, options->generator.seed);
  command->add_option("--num-samples", options->samples, "answers to each prompt")
      ->check(CLI::Range(1u, 1u << 30))
      ->capture_default_str();
  command->add_option("--slots", options->generator.slots, "sequences decoded side by side")
      ->capture_default_str();
  command->add_flag("--skip-bad-lines", options->format.skip_bad_lines,
                    "leave out bad lines of --prompts, count them and go on");
  command->footer(
      "The output has the answers in the order of the prompts, and is written at the end, whole or "
      "not at all.\nCtrl-C or SIGTERM ends early: the answers that are complete by then are "
      "written,"
      " and the exit code is 128 + the signal.");
  command->callback([options] { run(*options); });
}

}  // namespace cria
