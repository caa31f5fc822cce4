// Direct preference optimisation, over the P pairs of the global batch. With log pi(y) the sum of
// an answer's log-probabilities under the policy, log ref(y) under the reference model:
//
//   u = [log pi(c) - log ref(c)] - [log pi(r) - log ref(r)]
//   sigmoid   L = 1/P sum -(1 - e) log sigma(beta u) - e log sigma(-beta u)     (Rafailov et al.
//             2023, equation 7; label smoothing e: Mitchell 2023)
//   ipo       L = 1/P sum (u - 1/(2 beta))^2                                    (Azar et al. 2023,
//             equation 17), with u of log-probabilities averaged over their answers' tokens, as in
//             TRL
//
// The implicit reward of an answer is beta (log pi(y) - log ref(y)), of sums under either loss.
#pragma once

#include <array>
#include <variant>

#include "trainers/preference_objective.h"

namespace cria {

struct DpoOptions {
  double beta = 0.1;
  std::string loss_type = "sigmoid";  // or ipo
  double label_smoothing = 0;         // of sigmoid
};

// Of the answers of a pair, summed over their tokens.
struct PairLogprobs {
  double chosen = 0;
  double rejected = 0;
};

// What the reference model says: known for each pair of the data, or to be asked in every pass.
// Such a model has the policy's shape, since it takes turns with it on the buffers of a pass; in
// the same pack the two give the same bits as long as their weights are the same.
using DpoReference = std::variant<std::vector<PairLogprobs>, const Model*>;

class DpoLoss : public PreferenceObjective {
 public:
  DpoLoss(const DpoOptions& options, const PreferenceData& data, DpoReference reference);

  void pass(Learner& learner, const MicroBatch& micro) override;

 private:
  // loss; rewards/chosen, rewards/rejected, rewards/accuracies, rewards/margins; logps/chosen,
  // logps/rejected.
  Figures figures() const override;
  JudgedPair judged(size_t pair) const override;

  // What the log-probabilities of each answer are divided by in u.
  std::array<double, 2> lengths(size_t pair) const;
  double difference(size_t pair) const;  // u
  double loss(double difference) const;
  double loss_gradient(double difference) const;  // dL/du of one pair

  DpoOptions options_;
  DpoReference reference_;
};

}  // namespace cria
