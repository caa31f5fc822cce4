#include "trainers/ppo/rollout_prompts.h"

#include "cria/core/error.h"
#include "cria/generate/generator.h"

namespace cria {

RolloutPrompts::RolloutPrompts(const PpoConfig& config, const Tokenizer& tokenizer,
                               const ModelConfig& model)
    : config_(config), tokenizer_(tokenizer), model_(model) {
  DataOptions options = data_options(config);
  options.packing = false;
  stream_ = make_example_data(options, [&](const std::string& path, ExampleCounts& counts) {
    std::vector<Example> examples;
    for (Prompt& prompt : read(path, counts)) {
      examples.push_back({.ids = prompt.ids,
                          .labels = std::vector<int32_t>(prompt.ids.size(), kNoLabel),
                          .item = static_cast<int64_t>(prompts_.size())});
      prompts_.push_back(std::move(prompt));
    }
    return examples;
  });
  for (size_t i = 0; i < config.data.eval.size(); ++i) {
    ExampleCounts counts;
    std::vector<Prompt> prompts = read(config.data.eval[i].path, counts);
    if (prompts.empty()) {
      throw input_error(
          fmt::format("data.eval[{}]", i),
          config.data.eval[i].path + " holds no prompt that leaves room for an answer",
          "raise data.max_length or lower ppo.response_length");
    }
    std::move(prompts.begin(), prompts.end(), std::back_inserter(held_out_));
  }
}

std::vector<Prompt> RolloutPrompts::read(const std::string& path, ExampleCounts& counts) const {
  const PromptOptions form = prompt_options(config_.data);
  const auto check = [&](const Prompt& prompt) {
    for (const int32_t id : prompt.ids) {
      if (id >= 0 && id < model_.vocab_size) continue;
      throw input_error(prompt.where, fmt::format("token id {} is outside the model's vocabulary "
                                                  "of {}",
                                                  id, model_.vocab_size));
    }
  };
  PromptFile file = read_prompts(path, form, tokenizer_, check);
  counts.skipped = file.skipped;
  counts.first_skipped = file.first_skipped;
  std::vector<Prompt> kept;
  for (Prompt& prompt : file.prompts) {
    const auto length = static_cast<int64_t>(prompt.ids.size());
    if (length + config_.ppo.response_length > config_.data.max_length) {
      ++counts.dropped;
      continue;
    }
    ++counts.examples;
    counts.tokens += length;
    kept.push_back(std::move(prompt));
  }
  return kept;
}

std::vector<const Prompt*> RolloutPrompts::next(int64_t count) {
  std::vector<const Prompt*> prompts;
  for (const Row& row : stream_->next(count)) {
    prompts.push_back(&prompts_[static_cast<size_t>(row.front().item)]);
  }
  return prompts;
}

std::vector<const Prompt*> RolloutPrompts::held_out() const {
  std::vector<const Prompt*> prompts;
  for (const Prompt& prompt : held_out_) prompts.push_back(&prompt);
  return prompts;
}

}  // namespace cria
