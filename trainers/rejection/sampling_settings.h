// What guards a pool against being continued with other samples or scores (sample_files.h).
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "trainers/rejection/rejection_config.h"

namespace cria {

// All that the bits of a pool depend on, by key; files and models by their checksums.
nlohmann::ordered_json sampling_settings(const RejectionConfig& config,
                                         const std::string& generator_checksum,
                                         const std::string& reward_model_checksum,
                                         const std::string& tokenizer_model);

}  // namespace cria
