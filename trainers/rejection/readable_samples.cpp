#include "trainers/rejection/readable_samples.h"

namespace cria {

namespace {

std::string text_of(const nlohmann::json& prompt) {
  if (prompt.is_string()) return prompt;
  if (prompt.is_array() && !prompt.empty() && prompt.front().is_object()) {
    std::string text;
    for (const nlohmann::json& message : prompt) {
      text += fmt::format("[{}] {}\n", message.value("role", ""), message.value("content", ""));
    }
    text.pop_back();
    return text;
  }
  return prompt.dump();
}

std::string describe(const char* which, const PooledSample& sample) {
  return fmt::format("-- {}: {:.3f} at temperature {}{}\n{}\n", which, sample.score.combined,
                     sample.temperature, sample.finished_by_eos ? "" : ", cut off",
                     sample.completion);
}

}  // namespace

void ReadableSamples::add(const PooledSample& sample) {
  if (prompts_.empty() || prompts_.back().best.prompt_number != sample.prompt_number) {
    if (prompts_.size() == kPrompts) return;
    prompts_.push_back({sample, sample});
    return;
  }
  Extremes& prompt = prompts_.back();
  if (sample.score.combined > prompt.best.score.combined) prompt.best = sample;
  if (sample.score.combined < prompt.worst.score.combined) prompt.worst = sample;
}

std::string ReadableSamples::text() const {
  std::string text;
  for (const Extremes& prompt : prompts_) {
    text += fmt::format("== prompt {}{}\n{}\n{}{}\n", prompt.best.prompt_number,
                        prompt.best.is_safety ? ", safety" : "", text_of(prompt.best.prompt),
                        describe("best", prompt.best), describe("worst", prompt.worst));
  }
  return text;
}

}  // namespace cria
