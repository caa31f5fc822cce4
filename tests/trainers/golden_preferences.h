// The pairs of tests/golden/preferences, and a golden model in training on them.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "trainers/preference_objective.h"

namespace cria::testing {

std::string golden_path(const std::string& name);  // of tests/golden/NAME
nlohmann::json golden_json(const std::string& name);

std::unique_ptr<PreferenceData> golden_pairs();

// As named in a ParameterSet, one after the other.
struct NamedGradient {
  std::string name;
  std::vector<float> values;
};

class GoldenLearner {
 public:
  // `directory` below tests/golden.
  explicit GoldenLearner(const std::string& directory);

  // The global batch of all pairs in passes of at most `max_tokens` tokens; gradients start at 0.
  Figures pass_over(Objective& objective, const PreferenceData& data, PassKind kind,
                    int64_t max_tokens);
  // The same with all in one pass, where what the loss says is known: dL/dscore or dL/dlogprob of
  // the answers, [2][pairs], of chosen and of rejected ones.
  void backward(const PreferenceData& data, const nlohmann::json& output_gradients);

  std::vector<NamedGradient> gradients();
  Learner& learner() { return learner_; }

  static constexpr int64_t kMaxTokens = 1024;

 private:
  std::unique_ptr<Backend> backend_;
  ModelConfig config_;
  Arena arena_;
  PassBuffers passes_;
  Learner learner_;
};

// |found - wanted| <= bound |wanted|, in the norm of each tensor.
void expect_close(const std::vector<NamedGradient>& found, const std::vector<NamedGradient>& wanted,
                  double bound);
std::vector<NamedGradient> golden_gradients(const std::string& name);

}  // namespace cria::testing
