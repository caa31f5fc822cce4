// cria init: a model with random weights, as a Hugging Face directory.
#include <filesystem>
#include <memory>

#include "cria/io/atomic_directory.h"
#include "cria/io/hugging_face.h"
#include "cria/model/model.h"
#include "cria/text/tokenizer.h"

#include "trainers/commands/commands.h"
#include "trainers/model_shape.h"

namespace cria {

namespace {

struct InitOptions {
  std::string config;
  std::vector<std::string> assignments;
  std::string tokenizer;
  std::string output;
  std::string head = "language";
  uint64_t seed = 0;
};

// The tokenizer decides about the vocabulary; a file that expects another one is refused.
ModelConfig config_for(const InitOptions& options, const Tokenizer& tokenizer) {
  ModelConfig config = read_model_shape(options.config, options.assignments);
  if (config.vocab_size != 0 && config.vocab_size != tokenizer.vocab_size()) {
    throw input_error(
        options.config,
        fmt::format("vocab_size is {}, but {} has {} pieces", config.vocab_size, options.tokenizer,
                    tokenizer.vocab_size()),
        fmt::format("take another tokenizer, or --set vocab_size={}", tokenizer.vocab_size()));
  }
  config.vocab_size = tokenizer.vocab_size();
  config.bos_token_id = tokenizer.bos_id();
  config.eos_token_id = tokenizer.eos_id();
  if (options.head == "score") {
    config.head = HeadKind::score;
    config.tie_word_embeddings = false;        // there is no language head to tie
    config.pad_token_id = tokenizer.unk_id();  // transformers reads the score before trailing pads
  }
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
  const ParameterLayout layout(config_for(options, tokenizer));
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
  command->add_option("--head", options->head, "language, or score: a reward model")
      ->check(CLI::IsMember({"language", "score"}))
      ->capture_default_str();
  command->add_option("--seed", options->seed, "of the weights")->capture_default_str();
  command->add_option("--set", options->assignments, "key=value, after the file's")
      ->allow_extra_args(false);
  command->callback([options] { run(*options); });
}

}  // namespace cria
