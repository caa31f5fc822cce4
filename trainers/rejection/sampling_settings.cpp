#include "trainers/rejection/sampling_settings.h"

#include "cria/io/checksum.h"

#include "trainers/sample_files.h"

namespace cria {

using nlohmann::ordered_json;

ordered_json sampling_settings(const RejectionConfig& config, const std::string& generator_checksum,
                               const std::string& reward_model_checksum,
                               const std::string& tokenizer_model) {
  const auto& r = config.rejection;
  ordered_json settings;
  settings["rejection.generator"] = generator_checksum;
  settings["rejection.helpfulness and rejection.safety"] = reward_model_checksum;
  settings["tokenizer.path"] = sha256(tokenizer_model);
  settings["rejection.prompts"] = file_checksums(r.prompts);
  settings["rejection.iteration"] = r.iteration;
  settings["rejection.num_samples"] = r.num_samples;
  settings["rejection.temperatures"] = r.temperatures;
  add_settings(settings, "rejection", r);
  settings["rejection.batch_tokens"] = r.batch_tokens;
  settings["data.max_length"] = config.data.max_length;
  settings["data.separator"] = config.data.separator;
  settings["data.skip_bad_lines"] = config.data.skip_bad_lines;
  settings["training.precision"] = config.training.precision;
  settings["training.seed"] = config.training.seed;
  return settings;
}

}  // namespace cria
