// The last stage of an iteration, which learns nothing: what its models are worth, and whether the
// reward models drift.
//
// figures.json, with R_h and R_s the rewards under the iteration's helpfulness and safety models:
//
// - new_pairs.helpful and .safety: mean reward of the answers of the new pairs of a category, and
//   accuracy on those that were held out; both also `_before`, under the reward model of the
//   iteration before
// - samples: mean rewards of all that rejection sampling drew, and of what it chose
// - held_out.V0, .V1, …: each model's answers to the prompts that none learns from: mean R_h over
//   the helpful prompts, mean R_s over those of safety, mean combined reward over all
//
// Answers of earlier models are scored again by each iteration's reward models, for scores of two
// reward models have no common zero.
#pragma once

#include <string>
#include <vector>

#include "cria/dist/communicator.h"

#include "trainers/rlhf/preference_collection.h"
#include "trainers/rlhf/rlhf_config.h"

namespace cria {

struct RewardDirectories {
  std::string helpfulness, safety;  // empty: there is none
};

// A model's answers to the prompts held out.
struct HeldOutAnswers {
  std::string name;  // of the model
  std::string path;
};

struct IterationEvaluation {
  const EvaluationConfig& config;
  std::string resolved_config;
  std::string directory;
  RewardDirectories rewards;
  RewardDirectories rewards_before;         // empty in the first iteration
  std::vector<NamedModel> models;           // that answer now
  std::vector<HeldOutAnswers> all_answers;  // of all models, those of `models` last
  std::string collection;                   // directories of the stages before
  std::string rejection;
};

// Returns 0, or the signal that ended it.
int evaluate_iteration(const IterationEvaluation& evaluation, Communicator& communicator);

}  // namespace cria
