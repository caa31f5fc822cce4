#include "trainers/ppo/credit.h"

#include "trainers/ppo/advantages.h"
#include "trainers/ppo/kl.h"

namespace cria {

void set_rewards(std::vector<Rollout>& rollouts, const PpoConfig& config) {
  std::vector<float> rewards;
  for (const Rollout& rollout : rollouts) rewards.push_back(rollout.score.combined);
  if (config.ppo.whiten_scores) whiten(rewards);
  const auto penalty = static_cast<float>(config.ppo.missing_eos_penalty.value_or(0));
  for (size_t i = 0; i < rollouts.size(); ++i) {
    rollouts[i].reward = rewards[i] - (rollouts[i].finished_by_eos ? 0.0f : penalty);
  }
}

CreditFigures assign_credit(RolloutBatch& batch, const PpoConfig& config, double kl_coef) {
  const KlEstimator estimator = parse_kl_estimator(config.ppo.kl_estimator);
  CreditFigures figures;
  std::vector<float> rewards(batch.token_count());
  for (size_t i = 0; i < batch.rollouts.size(); ++i) {
    for (size_t t = batch.token_offsets[i]; t < batch.token_offsets[i + 1]; ++t) {
      const double logprob = static_cast<double>(batch.logprobs[t]);
      const double reference = static_cast<double>(batch.reference_logprobs[t]);
      const double kl = kl_of(estimator, logprob, reference);
      figures.kl += kl;
      figures.k1 += kl_of(KlEstimator::k1, logprob, reference);
      figures.k3 += kl_of(KlEstimator::k3, logprob, reference);
      rewards[t] = static_cast<float>(-kl_coef * kl);
    }
    rewards[batch.token_offsets[i + 1] - 1] += batch.rollouts[i].reward;
  }
  const auto answers = static_cast<double>(batch.rollouts.size());
  for (double* mean : {&figures.kl, &figures.k1, &figures.k3}) *mean /= answers;
  figures.non_score_reward = 0.0 - kl_coef * figures.kl;

  if (config.ppo.whiten_rewards) whiten(rewards, /*centre=*/false);
  for (size_t i = 0; i < batch.rollouts.size(); ++i) {
    estimate_advantages({.advantages = batch.tokens_of(i, batch.advantages),
                         .returns = batch.tokens_of(i, batch.returns)},
                        batch.tokens_of(i, rewards), batch.tokens_of(i, batch.values),
                        {.gamma = config.ppo.gamma, .lam = config.ppo.lam});
  }
  whiten(batch.advantages);
  return figures;
}

}  // namespace cria
