// The weighted token loss of pretraining, fine-tuning and Ghost Attention:
//   L = sum_t w_t (-log p_t) / sum_t w_t,   dL/dlogprob_t = -w_t / sum w
// both sums over the whole global batch: all micro-batches, all ranks.
#pragma once

#include "trainers/objective.h"

namespace cria {

class TokenLoss : public Objective {
 public:
  explicit TokenLoss(const ModelConfig& config);

  std::vector<Group> groups(std::vector<Row> rows) const override;
  void begin(std::span<const Group> batch, PassKind kind) override;
  void pass(Learner& learner, const MicroBatch& micro) override;
  // loss, entropy (mean over weighted tokens) and mean_token_accuracy; perplexity of an evaluation.
  Figures end(Communicator& communicator) override;

 private:
  double loss_limit_;  // a loss beyond it has exploded
  PassKind kind_ = PassKind::training;
  double weight_sum_ = 0;   // of the global batch
  double token_count_ = 0;  // tokens of weight above 0 in the global batch
  double loss_ = 0;         // sums over this rank's passes
  double entropy_ = 0;
  double correct_ = 0;
};

}  // namespace cria
