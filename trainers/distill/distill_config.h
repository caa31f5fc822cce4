// The keys of `cria distill`: those of fine-tuning, but for data.train, which the run makes itself,
// and the group `distill`.
#pragma once

#include <map>

#include "trainers/sampling_config.h"
#include "trainers/train_config.h"

namespace cria {

struct DistillConfig : TrainConfig {
  struct : SamplingConfig {
    std::string sampler;  // empty: model.path
    std::string safety;   // reward model
    std::string reward_precision = "fp32";
    std::vector<std::string> prompts;
    std::string category = "safety";
    int64_t chunk_prompts = 0;
    int64_t batch_tokens = 0;

    std::vector<std::string> generic;
    std::map<std::string, std::string> templates;  // by the prompt's risk
    std::string risk_field = "risk";
    std::string placement = "system";
    std::string template_placement = "system";

    int64_t num_samples = 1;
    double temperature = 1.0;
    std::string truncated = "drop";
  } distill;

  const std::string& sampler_path() const {
    return distill.sampler.empty() ? model.path : distill.sampler;
  }
  std::string file(const std::string& name) const { return training.output_dir + "/" + name; }
};

void declare(ConfigSchema& schema, DistillConfig& config);
// Beyond validate(const TrainConfig&, …).
void validate(const DistillConfig& config);

// All that samples depend on, by key; files and models by their checksums.
nlohmann::ordered_json sampling_settings(const DistillConfig& config,
                                         const std::string& sampler_checksum,
                                         const std::string& reward_model_checksum,
                                         const std::string& tokenizer_model);

}  // namespace cria
