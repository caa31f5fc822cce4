#include "trainers/sampling_config.h"

namespace cria {

SamplingSettings SamplingConfig::settings(double temperature, int32_t eos) const {
  return {.temperature = static_cast<float>(temperature),
          .top_k = static_cast<int32_t>(top_k_tokens),
          .top_p = static_cast<float>(top_p),
          .max_new_tokens = max_new_tokens,
          .stop_ids = {eos}};
}

void add_settings(nlohmann::ordered_json& settings, const std::string& group,
                  const SamplingConfig& c) {
  settings[group + ".top_k_tokens"] = c.top_k_tokens;
  settings[group + ".top_p"] = c.top_p;
  settings[group + ".max_new_tokens"] = c.max_new_tokens;
  settings[group + ".slots"] = c.slots;
}

void declare_sampling(ConfigSchema& schema, const std::string& group, SamplingConfig& c) {
  schema
      .key(group + ".top_k_tokens", c.top_k_tokens,
           "draw from so many likeliest tokens; 0: from all")
      .at_least(0)
      .at_most(1 << 30);
  schema
      .key(group + ".top_p", c.top_p,
           "draw from the fewest tokens that reach this probability; 1: from all")
      .positive()
      .at_most(1);
  schema.key(group + ".max_new_tokens", c.max_new_tokens, "longest answer").at_least(1);
  schema.key(group + ".slots", c.slots, "answers that a rank decodes side by side").at_least(1);
}

}  // namespace cria
