// Supervised fine-tuning: the token loss over answers; prompts carry no weight.
#pragma once

#include "trainers/trainer_setup.h"

namespace cria {

int sft(const TrainConfig& config, const std::string& resolved_config);

// The same for trainers that make their examples themselves: `examples` is their file, in the place
// of data.train.
int fine_tune(TrainerSetup& setup, const TrainConfig& config, const std::string& examples,
              const std::string& resolved_config);

}  // namespace cria
