// cria init: a model with random weights, as a Hugging Face directory.
#include <filesystem>
#include <memory>
#include <optional>

#include "cria/io/atomic_directory.h"
#include "cria/io/config_schema.h"
#include "cria/io/hugging_face.h"
#include "cria/model/model.h"
#include "cria/text/tokenizer.h"

#include "trainers/commands/commands.h"

namespace cria {

namespace {

struct InitOptions {
  std::string config;
  std::vector<std::string> assignments;
  std::string tokenizer;
  std::string output;
  uint64_t seed = 0;
};

ModelConfig read_shape(const InitOptions& options, const Tokenizer& tokenizer) {
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
      .at_most(1 << 20);
  schema.key("head_dim", head_dim, "width of a head; default: hidden_size / num_attention_heads")
      .at_least(1)
      .at_most(1 << 20);
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
  schema.read_file(options.config);
  for (const std::string& assignment : options.assignments) schema.set(assignment);
  schema.check();

  if (vocab_size && *vocab_size != tokenizer.vocab_size()) {
    throw input_error(
        options.config,
        fmt::format("vocab_size is {}, but {} has {} pieces", *vocab_size, options.tokenizer,
                    tokenizer.vocab_size()),
        fmt::format("take another tokenizer, or --set vocab_size={}", tokenizer.vocab_size()));
  }
  config.vocab_size = tokenizer.vocab_size();
  const int heads = config.num_attention_heads;
  config.num_key_value_heads = static_cast<int>(key_value_heads.value_or(heads));
  if (!head_dim && config.hidden_size % heads != 0) {
    throw input_error(options.config,
                      fmt::format("hidden_size {} is no multiple of num_attention_heads {}",
                                  config.hidden_size, heads),
                      "give head_dim");
  }
  config.head_dim = static_cast<int>(head_dim.value_or(config.hidden_size / heads));
  config.bos_token_id = tokenizer.bos_id();
  config.eos_token_id = tokenizer.eos_id();
  return config;
}

void refuse_to_replace(const std::string& directory) {
  std::error_code error;
  const auto status = std::filesystem::status(directory, error);
  if (!std::filesystem::exists(status)) return;
  if (std::filesystem::is_directory(status) && std::filesystem::is_empty(directory, error)) return;
  throw input_error(directory, "exists and is not empty", "give another --output, or remove it");
}

void run(const InitOptions& options) {
  const Tokenizer tokenizer(options.tokenizer);
  const ParameterLayout layout(read_shape(options, tokenizer));
  refuse_to_replace(options.output);

  const std::unique_ptr<Backend> backend = make_backend("cpu");
  Arena arena(backend->memory());
  ParameterSet weights(layout, DType::f32);
  weights.reserve(arena, "parameters");
  arena.allocate();
  initialize_weights(weights, *backend, options.seed);

  AtomicDirectory directory(options.output);
  write_model(directory.path(), layout.config(), weights, *backend, DType::f32);
  write_tokenizer(directory.path(), tokenizer.model_bytes());
  directory.commit();
  fmt::print("{}: {} parameters\n", options.output, layout.parameter_count());
}

}  // namespace

void add_init_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("init", "a model with random weights");
  auto options = std::make_shared<InitOptions>();
  command->add_option("--config", options->config, "YAML file with its shape: configs/models/")
      ->required();
  command->add_option("--tokenizer", options->tokenizer, "tokenizer.model")->required();
  command->add_option("--output", options->output, "directory to write")->required();
  command->add_option("--seed", options->seed, "of the weights")->capture_default_str();
  command->add_option("--set", options->assignments, "key=value, after the file's")
      ->allow_extra_args(false);
  command->callback([options] { run(*options); });
}

}  // namespace cria
