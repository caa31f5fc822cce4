#include "trainers/reward_models_config.h"

namespace cria {

RewardModelOptions RewardModelsConfig::reward_models(const std::string& group) const {
  return {.helpfulness = helpfulness,
          .safety = safety,
          .precision = reward_precision,
          .batch_tokens = batch_tokens,
          .group = group};
}

void declare_reward_models(ConfigSchema& schema, const std::string& group, RewardModelsConfig& c) {
  schema.key(group + ".helpfulness", c.helpfulness, "reward model of helpfulness");
  schema.key(group + ".safety", c.safety, "reward model of safety; one of the two may be left out");
  schema.choice(group + ".reward_precision", c.reward_precision, {"fp32", "bf16"},
                "of the reward models");
  schema
      .key(group + ".batch_tokens", c.batch_tokens,
           "tokens in a pass of a reward model; 0: its longest sequence, 2048 at least")
      .at_least(0);
}

}  // namespace cria
