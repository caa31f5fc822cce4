// The keys of a group that samples answers: from which tokens they are drawn, how long they may
// be, and how many run side by side.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "cria/generate/generator.h"
#include "cria/io/config_schema.h"

namespace cria {

struct SamplingConfig {
  int64_t top_k_tokens = 0;
  double top_p = 1.0;
  int64_t max_new_tokens = 256;
  int64_t slots = 16;

  SamplingSettings settings(double temperature, int32_t eos) const;
};

// GROUP.top_k_tokens and so on: the keys of a config, and what they are for samples to be continued
// with.
void add_settings(nlohmann::ordered_json& settings, const std::string& group,
                  const SamplingConfig& config);
void declare_sampling(ConfigSchema& schema, const std::string& group, SamplingConfig& config);

}  // namespace cria
