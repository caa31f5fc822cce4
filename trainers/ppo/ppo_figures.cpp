#include "trainers/ppo/ppo_figures.h"

#include <algorithm>

#include "trainers/ppo/advantages.h"

namespace cria {

namespace {

// Sums over answers first; scaled to means by mean_of().
struct AnswerFigures {
  double score = 0;
  double helpfulness = 0;
  double safety = 0;
  double safety_decided = 0;  // the safety model's score counted
  double length = 0;
  double finished = 0;
};

AnswerFigures sums_of(const std::vector<Rollout>& rollouts) {
  AnswerFigures sums;
  for (const Rollout& rollout : rollouts) {
    const AnswerScore& score = rollout.score;
    sums.score += static_cast<double>(score.combined);
    sums.helpfulness += static_cast<double>(score.helpfulness);
    sums.safety += static_cast<double>(score.safety);
    sums.safety_decided += rollout.prompt->is_safety || score.combined != score.helpfulness ? 1 : 0;
    sums.length += static_cast<double>(rollout.answer.size());
    sums.finished += rollout.finished_by_eos ? 1 : 0;
  }
  return sums;
}

double mean_of(const std::vector<UpdateFigures>& updates, double UpdateFigures::*figure) {
  double sum = 0;
  for (const UpdateFigures& update : updates) sum += update.*figure;
  return sum / static_cast<double>(updates.size());
}

double mean_of(std::span<const float> values) { return moments(values).mean; }

double sum_of(std::span<const float> values) {
  return mean_of(values) * static_cast<double>(values.size());
}

}  // namespace

Figures figures_of(const RolloutBatch& batch, const IterationFigures& figures,
                   const PpoConfig& config) {
  const auto answers = static_cast<double>(batch.rollouts.size());
  const AnswerFigures sums = sums_of(batch.rollouts);
  const auto& updates = figures.updates;
  std::vector<float> ratios;
  for (const UpdateFigures& update : updates) ratios.push_back(static_cast<float>(update.ratio));
  const double policy_loss = mean_of(updates, &UpdateFigures::policy_loss);
  const double value_loss = mean_of(updates, &UpdateFigures::value_loss);
  const double score = sums.score / answers;

  Figures named = {
      {"loss", policy_loss + config.ppo.vf_coef * value_loss},
      {"objective/scores", score},
      {"objective/kl", figures.credit.kl},
      {"objective/kl_k1", figures.credit.k1},
      {"objective/kl_k3", figures.credit.k3},
      {"objective/kl_coef", figures.kl_coef},
      {"objective/entropy", -sum_of(batch.logprobs) / answers},
      {"objective/non_score_reward", figures.credit.non_score_reward},
      {"objective/rlhf_reward", score + figures.credit.non_score_reward},
  };
  if (!config.ppo.helpfulness.empty() && !config.ppo.safety.empty()) {
    named.emplace_back("objective/helpfulness", sums.helpfulness / answers);
    named.emplace_back("objective/safety", sums.safety / answers);
    named.emplace_back("objective/safety_share", sums.safety_decided / answers);
  }
  named.insert(named.end(),
               {
                   {"policy/approxkl_avg", mean_of(updates, &UpdateFigures::approx_kl)},
                   {"policy/clipfrac_avg", mean_of(updates, &UpdateFigures::policy_clipped)},
                   {"policy/entropy_avg", mean_of(updates, &UpdateFigures::entropy)},
                   {"loss/policy_avg", policy_loss},
                   {"loss/value_avg", value_loss},
                   {"val/clipfrac_avg", mean_of(updates, &UpdateFigures::value_clipped)},
                   {"val/ratio", mean_of(updates, &UpdateFigures::ratio)},
                   {"val/ratio_var", moments(ratios).variance},
                   {"val/num_eos_tokens", sums.finished},
                   {"critic/values/mean", mean_of(batch.values)},
                   {"critic/returns/mean", mean_of(batch.returns)},
                   {"critic/vf_explained_var", explained_variance(batch.returns, batch.values)},
                   {"response_length/mean", sums.length / answers},
                   {"response_length/clip_ratio", 1 - sums.finished / answers},
                   {"grad_norm", mean_of(updates, &UpdateFigures::policy_grad_norm)},
                   {"critic/grad_norm", mean_of(updates, &UpdateFigures::value_grad_norm)},
                   {"learning_rate", figures.learning_rate},
                   {"time/rollout", figures.rollout_seconds},
                   {"time/scoring", figures.scoring_seconds},
                   {"time/update", figures.update_seconds},
               });
  return named;
}

Figures evaluation_figures(const std::vector<Rollout>& rollouts) {
  const AnswerFigures sums = sums_of(rollouts);
  const auto answers = static_cast<double>(rollouts.size());
  return {{"eval_objective/scores", sums.score / answers},
          {"eval_response_length/mean", sums.length / answers},
          {"eval_response_length/clip_ratio", 1 - sums.finished / answers}};
}

std::string brief_line(const Figures& figures) {
  const auto figure = [&](const char* name) {
    const auto found = std::find_if(figures.begin(), figures.end(),
                                    [&](const auto& entry) { return entry.first == name; });
    return found->second;
  };
  return fmt::format("score {:.4f}  kl {:.4f}  entropy {:.3f}  length {:.1f}",
                     figure("objective/scores"), figure("objective/kl"),
                     figure("policy/entropy_avg"), figure("response_length/mean"));
}

}  // namespace cria
