// config.json of a model directory, between JSON and ModelConfig.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cria/core/dtype.h"
#include "cria/model/config.h"

namespace cria {

// `path` is the file, for messages.
ModelConfig parse_model_config(const std::string& path, const nlohmann::json& json);

// As transformers writes it, the keys sorted.
nlohmann::json model_config_json(const ModelConfig& config, DType storage);

// "hidden_size 64 instead of 32" for every key that differs; empty when the configs agree.
std::vector<std::string> config_differences(const ModelConfig& found, const ModelConfig& wanted);

}  // namespace cria
