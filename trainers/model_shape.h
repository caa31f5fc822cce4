// The shape of a new model, from a YAML file such as those in configs/models/.
#pragma once

#include <string>
#include <vector>

#include "cria/model/config.h"

namespace cria {

// Keys are named as in config.json; `assignments` are key=value, after the file's. vocab_size is 0
// where it is not given, and the ids of special tokens are left to the tokenizer. Every mistake is
// an input Error that names the key.
ModelConfig read_model_shape(const std::string& path, const std::vector<std::string>& assignments);

}  // namespace cria
