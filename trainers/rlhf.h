// The iterations V1 … Vn of RLHF (Llama 2, section 3.2): each collects preferences with the latest
// models, trains the reward models again on all preferences so far, fine-tunes on the best of many
// samples, and from the iteration that says so runs PPO on top. docs/iterations.md has the method;
// trainers/rlhf/ the parts. The stages are the trainers themselves, each in a run directory of its
// own.
#pragma once

#include "trainers/rlhf/rlhf_config.h"

namespace cria {

int rlhf(const RlhfRecipe& recipe);

// The settings of every stage, each with its meaning, as YAML.
std::string print_stages(const RlhfRecipe& recipe);

}  // namespace cria
