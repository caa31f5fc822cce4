#include "trainers/rejection/sampling_settings.h"

#include "cria/io/checksum.h"
#include "cria/io/file.h"

namespace cria {

using nlohmann::ordered_json;

ordered_json sampling_settings(const RejectionConfig& config, const std::string& generator_checksum,
                               const std::string& reward_model_checksum,
                               const std::string& tokenizer_model) {
  const auto& r = config.rejection;
  ordered_json prompts = ordered_json::array();
  for (const std::string& path : r.prompts) prompts.push_back(sha256(read_file(path)));
  ordered_json settings;
  settings["rejection.generator"] = generator_checksum;
  settings["rejection.helpfulness and rejection.safety"] = reward_model_checksum;
  settings["tokenizer.path"] = sha256(tokenizer_model);
  settings["rejection.prompts"] = prompts;
  settings["rejection.iteration"] = r.iteration;
  settings["rejection.num_samples"] = r.num_samples;
  settings["rejection.temperatures"] = r.temperatures;
  settings["rejection.top_k_tokens"] = r.top_k_tokens;
  settings["rejection.top_p"] = r.top_p;
  settings["rejection.max_new_tokens"] = r.max_new_tokens;
  settings["rejection.slots"] = r.slots;
  settings["rejection.batch_tokens"] = r.batch_tokens;
  settings["data.max_length"] = config.data.max_length;
  settings["data.separator"] = config.data.separator;
  settings["data.skip_bad_lines"] = config.data.skip_bad_lines;
  settings["training.precision"] = config.training.precision;
  settings["training.seed"] = config.training.seed;
  return settings;
}

}  // namespace cria
