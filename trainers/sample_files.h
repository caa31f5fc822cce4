// What files of samples have in common, whoever samples: they are continued with their own settings
// only, and ranks put their parts of them together.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cria/dist/communicator.h"

namespace cria {

// Writes the settings beside samples that are still to be made. Where `samples` are there, an input
// Error names the first setting that differs from those they were made with.
void keep_sampling_settings(const nlohmann::ordered_json& settings, const std::string& path,
                            const std::string& samples);

// The SHA-256 of each file.
nlohmann::ordered_json file_checksums(const std::vector<std::string>& paths);

// The texts of all ranks, one after the other, on every rank. Collective.
std::string gather_text(Communicator& communicator, const std::string& mine);

}  // namespace cria
