#include "trainers/model_shape.h"

#include <optional>

#include "cria/core/error.h"
#include "cria/io/config_schema.h"

namespace cria {

namespace {
constexpr double kMostHeads = 1 << 20;
}

ModelConfig read_model_shape(const std::string& path, const std::vector<std::string>& assignments) {
  ModelConfig config;
  std::optional<int64_t> vocab_size, key_value_heads, head_dim;
  ConfigSchema schema;
  schema.key("vocab_size", vocab_size, "size of the vocabulary; default: the tokenizer's")
      .at_least(1);
  schema.key("hidden_size", config.hidden_size, "width of the residual stream")
      .at_least(1)
      .required();
  schema.key("intermediate_size", config.intermediate_size, "width of the MLP")
      .at_least(1)
      .required();
  schema.key("num_hidden_layers", config.num_hidden_layers, "transformer blocks")
      .at_least(1)
      .required();
  schema.key("num_attention_heads", config.num_attention_heads, "query heads")
      .at_least(1)
      .required();
  schema
      .key("num_key_value_heads", key_value_heads,
           "key/value heads, dividing the query heads; default: as many")
      .at_least(1)
      .at_most(kMostHeads);
  schema.key("head_dim", head_dim, "width of a head; default: hidden_size / num_attention_heads")
      .at_least(1)
      .at_most(kMostHeads);
  schema.key("max_position_embeddings", config.max_position_embeddings, "longest sequence")
      .at_least(1);
  schema.key("rms_norm_eps", config.rms_norm_eps, "epsilon of the norms").positive();
  schema.key("rope_theta", config.rope_theta, "base of the rotary frequencies").positive();
  schema.key("tie_word_embeddings", config.tie_word_embeddings,
             "the language head is the embedding table");
  schema
      .key("initializer_range", config.initializer_range,
           "standard deviation of the initial matrices")
      .positive();
  schema.read_file(path);
  for (const std::string& assignment : assignments) schema.set(assignment);
  schema.check();

  const int heads = config.num_attention_heads;
  if (!head_dim && config.hidden_size % heads != 0) {
    throw input_error(path,
                      fmt::format("hidden_size {} is no multiple of num_attention_heads {}",
                                  config.hidden_size, heads),
                      "give head_dim");
  }
  config.vocab_size = vocab_size.value_or(0);
  config.num_key_value_heads = static_cast<int>(key_value_heads.value_or(heads));
  config.head_dim = static_cast<int>(head_dim.value_or(config.hidden_size / heads));
  return config;
}

}  // namespace cria
