// Supervised fine-tuning: the token loss over answers; prompts carry no weight.
#pragma once

#include "trainers/trainer_setup.h"

namespace cria {

int sft(const TrainConfig& config, const std::string& resolved_config);

}  // namespace cria
