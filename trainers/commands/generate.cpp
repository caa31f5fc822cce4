// cria generate: answers to prompts, for people or as JSON Lines.
#include <algorithm>
#include <chrono>
#include <memory>

#include "cria/generate/generator.h"
#include "cria/io/atomic_directory.h"
#include "cria/report/progress.h"
#include "cria/text/continuation.h"
#include "cria/text/utf8.h"

#include "trainers/commands/commands.h"
#include "trainers/commands/inference_options.h"
#include "trainers/commands/sampling_options.h"
#include "trainers/prompts.h"
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

std::string completion_of(const Prompt& prompt, const GenerationResult& result,
                          const Tokenizer& tokenizer) {
  const std::string added = decode_continuation(tokenizer, prompt.ids, result.tokens);
  return prompt.is_chat ? std::string(strip(added)) : added;
}

std::string json_line(const Prompt& prompt, uint32_t sample, const GenerationResult& result,
                      const std::string& completion) {
  return fmt::format(
      "{{\"prompt\": {}, \"sample\": {}, \"completion\": {}, \"completion_ids\": [{}], "
      "\"logprobs\": {}, \"finished_by_eos\": {}}}\n",
      prompt.given.dump(), sample, nlohmann::json(completion).dump(),
      fmt::join(result.tokens, ", "), json_list(result.logprobs), result.finished_by_eos);
}

// No larger a cache than these requests can fill.
int64_t context_needed(const std::vector<Prompt>& prompts, const GenerateOptions& options,
                       int64_t model_context) {
  int64_t longest = 0;
  for (const Prompt& prompt : prompts) {
    longest = std::max(longest, static_cast<int64_t>(prompt.ids.size()));
  }
  if (longest >= model_context) return model_context;
  return longest + std::min(options.sampling.max_new_tokens, model_context - longest);
}

std::vector<GenerationRequest> requests_for(const std::vector<Prompt>& prompts,
                                            const GenerateOptions& options) {
  std::vector<GenerationRequest> requests;
  for (const Prompt& prompt : prompts) {
    for (uint32_t sample = 0; sample < options.samples; ++sample) {
      requests.push_back({.prompt = prompt.ids,
                          .example = sample_example(prompt.number, sample),
                          .settings = options.sampling});
    }
  }
  return requests;
}

PromptFile prompts_of(const GenerateOptions& options, PretrainedModel& pretrained) {
  const auto check = [&](const Prompt& prompt) {
    const ModelConfig& config = pretrained.config();
    validate({.prompt = prompt.ids, .settings = options.sampling}, config,
             config.max_position_embeddings, prompt.where);
  };
  const Tokenizer& tokenizer = pretrained.tokenizer();
  if (!options.prompts.empty()) {
    return read_prompts(options.prompts, options.format, tokenizer, check);
  }
  PromptFile one{.prompts = {text_prompt(options.prompt, options.format, tokenizer)}};
  check(one.prompts.front());
  return one;
}

// The answers until all are complete or a signal comes. Standard error gets a bar on a terminal, a
// line now and then elsewhere, and a summary at the end.
std::vector<GenerationResult> generate_answers(Generator& generator,
                                               std::span<const GenerationRequest> requests) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now();
  Progress progress("answer", static_cast<int64_t>(requests.size()));
  int64_t tokens = 0;
  int64_t complete = 0;
  const auto speed = [&] {
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    return fmt::format("{:.0f} tokens/s", static_cast<double>(tokens) / seconds);
  };
  install_stop_signals();
  std::vector<GenerationResult> results =
      generator.generate(requests, [&](const DrawnToken& token) {
        ++tokens;
        if (token.last) ++complete;
        progress.update(complete, speed());
        return stop_signal() != 0 ? AfterToken::end_all : AfterToken::go_on;
      });
  progress.finish();
  fmt::print(stderr, "{} of {} answers, {} tokens, {}, KV cache {}\n", complete, requests.size(),
             tokens, speed(), format_bytes(generator.cache().bytes()));
  return results;
}

void run(GenerateOptions options) {
  validate(options.sampling, "generate");
  PretrainedModel pretrained(options.model, options.inference);
  const PromptFile file = prompts_of(options, pretrained);
  const std::vector<Prompt>& prompts = file.prompts;
  options.sampling.stop_ids = {pretrained.config().eos_token_id};
  options.generator.max_context =
      context_needed(prompts, options, pretrained.config().max_position_embeddings);

  Generator generator(pretrained.model(), options.generator);
  generator.reserve(pretrained.arena());
  pretrained.load();
  const std::vector<GenerationResult> results =
      generate_answers(generator, requests_for(prompts, options));
  if (file.skipped > 0) {
    fmt::print(stderr, "{} bad lines left out, the first: {}\n", file.skipped, file.first_skipped);
  }

  std::string lines;
  for (size_t i = 0; i < results.size(); ++i) {
    if (!results[i].complete) continue;
    const Prompt& prompt = prompts[i / options.samples];
    const auto sample = static_cast<uint32_t>(i % options.samples);
    const std::string completion = completion_of(prompt, results[i], pretrained.tokenizer());
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
