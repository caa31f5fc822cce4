#include "trainers/evaluation/reward_scorer.h"

namespace cria {

namespace {

std::string tokenizer_path(const RewardScorerOptions& options) {
  if (!options.given()) {
    throw input_error("--helpfulness", "no reward model is given",
                      "name its directory here, or with --safety");
  }
  if (!options.tokenizer.empty()) return options.tokenizer;
  const RewardModelOptions& models = options.models;
  return (models.helpfulness.empty() ? models.safety : models.helpfulness) + "/tokenizer.model";
}

RewardModelOptions model_options(const RewardScorerOptions& options) {
  RewardModelOptions models = options.models;
  models.precision = options.inference.precision;
  return models;
}

}  // namespace

RewardScorer::RewardScorer(const RewardScorerOptions& options)
    : options_(options),
      backend_(make_backend(options.inference.device)),
      tokenizer_(tokenizer_path(options)),
      models_(model_options(options), *backend_, tokenizer_),
      arena_(backend_->memory()) {}

Answer RewardScorer::sequence_of(const EvaluatedAnswer& answer) const {
  Answer judged{.sequence = judged_sequence(answer, options_.separator, tokenizer_),
                .is_safety_prompt = answer.is_safety()};
  const auto length = static_cast<int64_t>(judged.sequence.ids.size());
  if (length > models_.max_length()) {
    throw input_error(answer.where,
                      fmt::format("{} tokens with its prompt, but the reward model takes {}",
                                  length, models_.max_length()),
                      "shorten it");
  }
  return judged;
}

std::vector<AnswerScore> RewardScorer::score(std::span<const Answer> answers) {
  if (!loaded_) {
    models_.reserve(arena_);
    arena_.allocate();
    models_.load();
    loaded_ = true;
  }
  return models_.score(answers);
}

std::vector<AnswerScore> RewardScorer::score(std::span<const EvaluatedAnswer> answers) {
  std::vector<Answer> sequences;
  for (const EvaluatedAnswer& answer : answers) sequences.push_back(sequence_of(answer));
  return score(sequences);
}

nlohmann::ordered_json RewardScorer::description() const {
  const auto directory = [](const std::string& path) {
    return path.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(path);
  };
  return {{"helpfulness", directory(options_.models.helpfulness)},
          {"safety", directory(options_.models.safety)}};
}

}  // namespace cria
