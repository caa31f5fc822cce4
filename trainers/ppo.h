// Proximal policy optimization against reward models, as in Llama 2 (section 3.2.3). docs/ppo.md
// has the method; trainers/ppo/ the parts.
#pragma once

#include "trainers/ppo/ppo_config.h"

namespace cria {

int ppo(const PpoConfig& config, const std::string& resolved_config);

}  // namespace cria
