#include "trainers/answering_model.h"

#include <algorithm>
#include <chrono>

#include "cria/report/progress.h"
#include "cria/text/continuation.h"
#include "cria/text/utf8.h"

#include "trainers/signals.h"

namespace cria {

AnsweringModel::AnsweringModel(const std::string& directory, const InferenceOptions& options)
    : pretrained_(directory, options) {}

std::function<void(const Prompt&)> AnsweringModel::checker(const SamplingSettings& settings) const {
  return [this, settings](const Prompt& prompt) {
    const int64_t context = generator_ ? generator_->max_context() : model_context();
    validate({.prompt = prompt.ids, .settings = settings}, pretrained_.config(), context,
             prompt.where);
  };
}

int64_t AnsweringModel::context_needed(std::span<const Prompt> prompts,
                                       int64_t max_new_tokens) const {
  return cria::context_needed(longest_prompt(prompts), max_new_tokens, model_context());
}

void AnsweringModel::load(const GeneratorOptions& options) {
  generator_ = std::make_unique<Generator>(pretrained_.model(), options);
  generator_->reserve(pretrained_.arena());
  pretrained_.load();
}

std::vector<GenerationResult> AnsweringModel::answer(std::span<const Prompt> prompts,
                                                     SamplingSettings settings, uint32_t samples) {
  settings.stop_ids = {pretrained_.config().eos_token_id};
  std::vector<GenerationRequest> requests;
  for (const Prompt& prompt : prompts) {
    for (uint32_t sample = 0; sample < samples; ++sample) {
      requests.push_back({.prompt = prompt.ids,
                          .example = sample_example(prompt.number, sample),
                          .settings = settings});
    }
  }

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
      generator_->generate(requests, [&](const DrawnToken& token) {
        ++tokens;
        if (token.last) ++complete;
        progress.update(complete, speed());
        return stop_signal() != 0 ? AfterToken::end_all : AfterToken::go_on;
      });
  progress.finish();
  fmt::print(stderr, "{} of {} answers, {} tokens, {}, KV cache {}\n", complete, requests.size(),
             tokens, speed(), format_bytes(generator_->cache().bytes()));
  return results;
}

std::string AnsweringModel::completion_of(const Prompt& prompt, const GenerationResult& result) {
  const std::string added = decode_continuation(tokenizer(), prompt.ids, result.tokens);
  return prompt.is_chat ? std::string(strip(added)) : added;
}

}  // namespace cria
