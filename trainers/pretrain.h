// Pretraining: the token loss over rows of joined documents.
#pragma once

#include "trainers/trainer_setup.h"

namespace cria {

int pretrain(const TrainConfig& config, const std::string& resolved_config);

}  // namespace cria
