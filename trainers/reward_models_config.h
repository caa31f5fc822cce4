// The keys of a group whose reward models score sampled answers.
#pragma once

#include <string>

#include "cria/io/config_schema.h"

#include "trainers/reward_models.h"

namespace cria {

struct RewardModelsConfig {
  std::string helpfulness;  // directories; one of the two may be empty
  std::string safety;
  std::string reward_precision = "fp32";
  int64_t batch_tokens = 0;

  bool has_reward_models() const { return !helpfulness.empty() || !safety.empty(); }
  RewardModelOptions reward_models(const std::string& group) const;
};

// GROUP.helpfulness and so on.
void declare_reward_models(ConfigSchema& schema, const std::string& group,
                           RewardModelsConfig& config);

}  // namespace cria
