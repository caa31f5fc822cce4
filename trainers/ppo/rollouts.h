// The answers of one iteration. Ranks share the work of making and scoring them, and then all hold
// all of them: statistics are taken over the same figures in the same order everywhere, and are
// the same bits whatever the number of ranks.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "cria/dist/communicator.h"
#include "cria/generate/generator.h"

#include "trainers/prompts.h"
#include "trainers/reward_models.h"

namespace cria {

struct Rollout {
  const Prompt* prompt = nullptr;
  std::vector<int32_t> answer;  // with its eos, where it has one
  bool finished_by_eos = false;
  AnswerScore score;
  float reward = 0;  // of its last token: the score whitened, less the penalty of a missing eos
};

// With figures for each of the N answer tokens: those of rollout i are [token_offsets[i],
// token_offsets[i + 1]).
struct RolloutBatch {
  explicit RolloutBatch(std::vector<Rollout> answered);

  std::span<float> tokens_of(size_t rollout, std::vector<float>& figures) const;
  std::span<const float> tokens_of(size_t rollout, const std::vector<float>& figures) const;
  size_t token_count() const { return token_offsets.back(); }

  std::vector<Rollout> rollouts;
  std::vector<size_t> token_offsets;      // [B + 1]
  std::vector<float> logprobs;            // [N] of the policy that answered
  std::vector<float> reference_logprobs;  // [N]
  std::vector<float> entropies;           // [N]
  std::vector<float> values;              // [N] V_t, read at the position that predicts token t
  std::vector<float> advantages;          // [N]
  std::vector<float> returns;             // [N]
};

struct RolloutSettings {
  SamplingSettings sampling;
  uint64_t first_example = 0;  // key of the first prompt's random numbers, the others follow
};

// Told how far this rank is.
using AnswerProgress = std::function<void(int64_t answers, int64_t of, int64_t tokens)>;

// One answer to each prompt. A stop signal ends it early, with answers that are of no use: the
// caller asks for it.
std::vector<Rollout> sample_answers(Generator& generator, Communicator& communicator,
                                    const std::vector<const Prompt*>& prompts,
                                    const RolloutSettings& settings,
                                    const AnswerProgress& progress);

void score_answers(std::vector<Rollout>& rollouts, RewardModels& models,
                   Communicator& communicator);

// JSON Lines for people: the first `count` rollouts, with their prompts, scores and KL.
std::string rollout_lines(const RolloutBatch& batch, int64_t count, const Tokenizer& tokenizer);

}  // namespace cria
