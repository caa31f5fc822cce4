// The keys of `cria rejection`: those of fine-tuning, but for data.train, which the run makes
// itself, and the group `rejection`.
#pragma once

#include "trainers/reward_models_config.h"
#include "trainers/sampling_config.h"
#include "trainers/train_config.h"

namespace cria {

struct RejectionConfig : TrainConfig {
  struct : SamplingConfig, RewardModelsConfig {
    std::string generator;  // empty: model.path
    std::vector<std::string> prompts;
    int64_t iteration = 1;

    int64_t num_samples = 8;
    std::vector<double> temperatures = {1.0};
    int64_t chunk_prompts = 0;

    int64_t select_top = 1;
    std::string pool = "previous";
    std::vector<std::string> pools;
    std::string truncated = "drop";
  } rejection;

  const std::string& generator_path() const;
  int64_t samples_per_prompt() const;  // of all temperatures
  std::string file(const std::string& name) const { return training.output_dir + "/" + name; }
};

void declare(ConfigSchema& schema, RejectionConfig& config);
// Beyond validate(const TrainConfig&, …).
void validate(const RejectionConfig& config);

}  // namespace cria
