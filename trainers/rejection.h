// Rejection sampling fine-tuning (Llama 2, section 3.2.3): several answers to each prompt, scored
// by reward models, and fine-tuning on the best. docs/rejection_sampling.md has the method;
// trainers/rejection/ the parts.
#pragma once

#include "trainers/rejection/rejection_config.h"

namespace cria {

int rejection(const RejectionConfig& config, const std::string& resolved_config);

}  // namespace cria
