// What an iteration shows of itself, under TRL's names where TRL has the figure.
#pragma once

#include "trainers/ppo/credit.h"
#include "trainers/ppo/ppo_passes.h"
#include "trainers/run_directory.h"

namespace cria {

struct IterationFigures {
  CreditFigures credit;
  double kl_coef = 0;  // that the rewards were formed with
  double learning_rate = 0;
  std::vector<UpdateFigures> updates;  // one for each optimizer step
  double rollout_seconds = 0;
  double scoring_seconds = 0;
  double update_seconds = 0;
};

// docs/ppo.md says what each means.
Figures figures_of(const RolloutBatch& batch, const IterationFigures& figures,
                   const PpoConfig& config);

// eval_objective/scores first.
Figures evaluation_figures(const std::vector<Rollout>& rollouts);

// For the bar and the log.
std::string brief_line(const Figures& figures);

}  // namespace cria
