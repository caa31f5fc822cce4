// Reward models (Llama 2, section 3.2): a language model whose head is replaced by a scalar one,
// trained on pairs of answers. Starts from a language model, or goes on with a reward model.
#pragma once

#include "trainers/reward_loss.h"
#include "trainers/trainer_setup.h"

namespace cria {

struct RewardConfig : TrainConfig {
  RewardOptions reward;
};

void declare(ConfigSchema& schema, RewardConfig& config);

int reward(const RewardConfig& config, const std::string& resolved_config);

}  // namespace cria
