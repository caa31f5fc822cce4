#include "cria/model/config.h"

#include "cria/core/error.h"

namespace cria {

void validate(const ModelConfig& config, const char* where) {
  const auto at_least_one = [&](const char* key, int64_t value) {
    if (value >= 1) return;
    throw input_error(where, fmt::format("{} is {}", key, value), "it must be at least 1");
  };
  at_least_one("vocab_size", config.vocab_size);
  at_least_one("hidden_size", config.hidden_size);
  at_least_one("intermediate_size", config.intermediate_size);
  at_least_one("num_hidden_layers", config.num_hidden_layers);
  at_least_one("num_attention_heads", config.num_attention_heads);
  at_least_one("num_key_value_heads", config.num_key_value_heads);
  at_least_one("head_dim", config.head_dim);
  at_least_one("max_position_embeddings", config.max_position_embeddings);
  if (config.num_attention_heads % config.num_key_value_heads != 0) {
    throw input_error(where,
                      fmt::format("num_key_value_heads {} does not divide num_attention_heads {}",
                                  config.num_key_value_heads, config.num_attention_heads));
  }
  if (config.head_dim % 2 != 0) {
    throw input_error(where, fmt::format("head_dim is {}", config.head_dim),
                      "rotary embedding turns pairs: it must be even");
  }
  if (!(config.rms_norm_eps > 0)) {
    throw input_error(where, fmt::format("rms_norm_eps is {}", config.rms_norm_eps),
                      "it must be above 0");
  }
  if (!(config.rope_theta > 0)) {
    throw input_error(where, fmt::format("rope_theta is {}", config.rope_theta),
                      "it must be above 0");
  }
}

}  // namespace cria
