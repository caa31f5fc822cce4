// What the models compute on an iteration's answers: log-probabilities, entropies and values of
// every answer token before the first update, and the updates themselves.
//
// Both go through the same packed passes at the sampling temperature. So the first update finds the
// very log-probabilities that it compares with: its ratios are exactly 1.
#pragma once

#include <functional>

#include "trainers/micro_batches.h"
#include "trainers/ppo/ppo_models.h"
#include "trainers/ppo/rollouts.h"

namespace cria {

// Answers that share an optimizer step, over all ranks.
struct MiniBatch {
  std::vector<Group> groups;       // one sequence each; its `item` is its place in the batch
  std::vector<MicroBatch> passes;  // of this rank
  double token_count = 0;          // answer tokens of all ranks
};

// `count` mini-batches of equal size, in the order of `order`: places in the batch.
std::vector<MiniBatch> make_mini_batches(const RolloutBatch& batch, std::span<const size_t> order,
                                         int64_t count, int64_t max_tokens,
                                         const Communicator& communicator);

// Means over the answer tokens of a mini-batch; norms before clipping.
struct UpdateFigures {
  double policy_loss = 0;
  double value_loss = 0;
  double policy_clipped = 0;
  double value_clipped = 0;
  double approx_kl = 0;
  double ratio = 0;
  double entropy = 0;
  double policy_grad_norm = 0;
  double value_grad_norm = 0;
};

class PpoPasses {
 public:
  PpoPasses(PpoModels& models, Communicator& communicator, Reduction& reduction,
            const PpoConfig& config)
      : models_(models), communicator_(communicator), reduction_(reduction), config_(config) {}

  // Fills in the batch's logprobs, reference_logprobs, entropies and values, on all ranks.
  // `progress` is told how many of how many passes are done.
  void score_tokens(RolloutBatch& batch, std::span<const MiniBatch> mini_batches,
                    const std::function<void(int64_t, int64_t)>& progress);

  // One optimizer step of policy and value model. `step` counts them, from 1. Right after
  // score_tokens, whose last pass is the policy's over the first of these, that one is not
  // repeated.
  UpdateFigures update(const RolloutBatch& batch, const MiniBatch& mini_batch, int64_t step,
                       double learning_rate);

 private:
  // The answer tokens of a pass: the rows that predict them, and their places in the batch.
  struct AnswerTokens {
    std::vector<int32_t> rows;
    std::vector<size_t> places;
  };
  static AnswerTokens answer_tokens(const RolloutBatch& batch, const MicroBatch& pass);
  void check_finite(double loss, const char* what, const Learner& learner) const;
  double step_of(Learner& learner, const char* what, int64_t step, double learning_rate);

  PpoModels& models_;
  Communicator& communicator_;
  Reduction& reduction_;
  const PpoConfig& config_;
  const MicroBatch* scored_last_ = nullptr;  // what the policy's activations are of, if it is known
};

}  // namespace cria
