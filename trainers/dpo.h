// Direct preference optimisation: a policy learns from pairs of answers without a reward model,
// held near a reference model.
#pragma once

#include "trainers/dpo_loss.h"
#include "trainers/trainer_setup.h"

namespace cria {

struct DpoConfig : TrainConfig {
  struct : DpoOptions {
    std::string reference;  // empty: model.path
    bool precompute_reference = true;
  } dpo;
};

void declare(ConfigSchema& schema, DpoConfig& config);

int dpo(const DpoConfig& config, const std::string& resolved_config);

}  // namespace cria
