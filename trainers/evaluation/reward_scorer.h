// Reward models as the evaluations use them: directories in, scores of answers out.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "trainers/evaluation/answers.h"
#include "trainers/reward_models.h"

namespace cria {

struct RewardScorerOptions {
  RewardModelOptions models;             // precision and group are set by the scorer
  std::string tokenizer;                 // empty: the reward model's own
  std::optional<std::string> separator;  // plain prompt/completion form instead of the chat format
  InferenceOptions inference;

  bool given() const { return !models.helpfulness.empty() || !models.safety.empty(); }
};

class RewardScorer {
 public:
  // Reads the configs and the tokenizer. Errors as RewardModels's.
  explicit RewardScorer(const RewardScorerOptions& options);

  // What the models read of an answer. An input Error that names the answer when it is too long.
  Answer sequence_of(const EvaluatedAnswer& answer) const;
  // The weights are read when first asked for scores.
  std::vector<AnswerScore> score(std::span<const Answer> answers);
  std::vector<AnswerScore> score(std::span<const EvaluatedAnswer> answers);

  int64_t max_length() const { return models_.max_length(); }  // of prompt and answer
  bool has_helpfulness() const { return !options_.models.helpfulness.empty(); }
  bool has_safety() const { return !options_.models.safety.empty(); }
  // {"helpfulness": DIR or null, "safety": DIR or null}
  nlohmann::ordered_json description() const;

 private:
  const RewardScorerOptions options_;
  std::unique_ptr<Backend> backend_;
  Tokenizer tokenizer_;
  RewardModels models_;
  Arena arena_;
  bool loaded_ = false;
};

}  // namespace cria
