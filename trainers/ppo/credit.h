// Which token gets how much of the reward: from an answer's score to its tokens' advantages.
#pragma once

#include "trainers/ppo/ppo_config.h"
#include "trainers/ppo/rollouts.h"

namespace cria {

// R~ = whiten(R_c), centred, over all answers (Llama 2, section 3.2.3; on raw scores, for the
// paper's logit undoes the sigmoid of its rewards), less missing_eos_penalty where an answer does
// not end by itself.
void set_rewards(std::vector<Rollout>& rollouts, const PpoConfig& config);

// Means over the answers of an iteration.
struct CreditFigures {
  double kl = 0;  // sum over the tokens of an answer, by the estimator that is trained on
  double k1 = 0;  // the same by k1 and k3
  double k3 = 0;
  double non_score_reward = 0;  // -beta kl
};

// Fills in advantages and returns: token t gets -beta kl_t, the last token of an answer its reward
// as well; then GAE, and advantages whitened over all tokens of the batch.
CreditFigures assign_credit(RolloutBatch& batch, const PpoConfig& config, double kl_coef);

}  // namespace cria
