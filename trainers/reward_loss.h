// The loss of reward models (Llama 2, section 3.2.2, equations 1 and 2), over the P pairs of the
// global batch, with r the score at an answer's last token:
//
//   L = 1/P sum_pairs [ -log sigma(r_c - r_r - m) + c (r_c + r_r)^2 ]
//     + w/N sum_labelled -log sigma(+-r)
//
// m       the margin: by rating as in table 27, or a number of each line; 0 where a pair has none
// c       center_rewards_coefficient: holds scores around 0, which differences leave open
//         (Eisenstein et al. 2023)
// w       safety_loss_weight: binary cross-entropy of the N answers of the batch that are labelled
//         safe (+) or unsafe (-), so that sigma(r) is the probability of being safe
#pragma once

#include <array>

#include "trainers/preference_objective.h"

namespace cria {

struct RewardOptions {
  std::string margin = "none";  // small, large, example
  double center_rewards_coefficient = 0;
  double safety_loss_weight = 0;
};

// m of one pair.
double margin_of(const PreferencePair& pair, const std::string& kind);

class RewardLoss : public PreferenceObjective {
 public:
  RewardLoss(const RewardOptions& options, const PreferenceData& data)
      : PreferenceObjective(data, /*slots=*/2), options_(options) {}

  void begin(std::span<const Group> batch, PassKind kind) override;
  void pass(Learner& learner, const MicroBatch& micro) override;

 private:
  // loss; accuracy; margin, the mean of r_c - r_r; min_reward, mean_reward, max_reward; with the
  // auxiliary loss also safety_loss and safety_accuracy.
  Figures figures() const override;
  JudgedPair judged(size_t pair) const override;

  // The answers' labels, chosen then rejected.
  std::array<std::optional<bool>, 2> safety_labels(size_t pair) const;
  // dL/dr_c and dL/dr_r.
  std::array<double, 2> gradients(size_t pair) const;

  RewardOptions options_;
  double labelled_count_ = 0;  // N; 0 without the auxiliary loss
  double guess_loss_ = 0;      // mean of -log sigma(-m): what equal scores lose
};

}  // namespace cria
