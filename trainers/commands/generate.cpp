// cria generate: answers to prompts, for people or as JSON Lines.
#include <algorithm>
#include <memory>

#include "cria/generate/generator.h"
#include "cria/io/atomic_directory.h"
#include "cria/text/utf8.h"

#include "trainers/commands/commands.h"
#include "trainers/commands/inference_options.h"
#include "trainers/prompts.h"

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

// What the new tokens add to the text. They are decoded with the prompt: alone, the space before
// their first word would be lost.
std::string completion_of(const Prompt& prompt, const GenerationResult& result,
                          const Tokenizer& tokenizer) {
  std::vector<int32_t> ids = prompt.ids;
  ids.insert(ids.end(), result.tokens.begin(), result.tokens.end());
  const std::string before = tokenizer.decode(prompt.ids);
  const std::string whole = tokenizer.decode(ids);
  const std::string added =
      whole.starts_with(before) ? whole.substr(before.size()) : tokenizer.decode(result.tokens);
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
                                            const GenerateOptions& options,
                                            const Generator& generator) {
  std::vector<GenerationRequest> requests;
  for (size_t i = 0; i < prompts.size(); ++i) {
    for (uint32_t sample = 0; sample < options.samples; ++sample) {
      requests.push_back({.prompt = prompts[i].ids,
                          .example = sample_example(static_cast<uint32_t>(i), sample),
                          .settings = options.sampling});
    }
    generator.check(requests.back(), prompts[i].where);
  }
  return requests;
}

void run(GenerateOptions options) {
  validate(options.sampling, "generate");
  PretrainedModel pretrained(options.model, options.inference);
  const Tokenizer& tokenizer = pretrained.tokenizer();
  const std::vector<Prompt> prompts =
      options.prompts.empty()
          ? std::vector<Prompt>{text_prompt(options.prompt, options.format, tokenizer)}
          : read_prompts(options.prompts, options.format, tokenizer);
  options.sampling.stop_ids = {pretrained.config().eos_token_id};
  options.generator.max_context =
      context_needed(prompts, options, pretrained.config().max_position_embeddings);

  Generator generator(pretrained.model(), options.generator);
  generator.reserve(pretrained.arena());
  const std::vector<GenerationRequest> requests = requests_for(prompts, options, generator);
  pretrained.load();
  const std::vector<GenerationResult> results = generator.generate(requests);

  std::string lines;
  for (size_t i = 0; i < results.size(); ++i) {
    const Prompt& prompt = prompts[i / options.samples];
    const auto sample = static_cast<uint32_t>(i % options.samples);
    const std::string completion = completion_of(prompt, results[i], tokenizer);
    if (!options.output.empty()) {
      lines += json_line(prompt, sample, results[i], completion);
    } else if (prompt.is_chat) {
      fmt::print("> {}\n{}\n\n", prompt.shown, completion);
    } else {
      fmt::print("{}{}\n\n", prompt.shown, completion);
    }
  }
  if (!options.output.empty()) write_file_atomically(options.output, lines);
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
  SamplingSettings& sampling = options->sampling;
  command->add_option("--max-new-tokens", sampling.max_new_tokens, "longest answer")
      ->capture_default_str();
  command->add_option("--temperature", sampling.temperature, "0: always the likeliest token")
      ->capture_default_str();
  command->add_option("--top-k", sampling.top_k, "draw from the k likeliest tokens; 0: from all")
      ->capture_default_str();
  command
      ->add_option("--top-p", sampling.top_p,
                   "draw from the fewest tokens that reach this probability")
      ->capture_default_str();
  command->add_option("--num-samples", options->samples, "answers to each prompt")
      ->check(CLI::Range(1u, 1u << 30))
      ->capture_default_str();
  command->add_option("--seed", options->generator.seed, "of the draws")->capture_default_str();
  command->add_option("--slots", options->generator.slots, "sequences decoded side by side")
      ->capture_default_str();
  command->callback([options] { run(*options); });
}

}  // namespace cria
