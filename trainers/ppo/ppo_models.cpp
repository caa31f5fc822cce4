#include "trainers/ppo/ppo_models.h"

#include <algorithm>
#include <tuple>

#include "cria/io/checksum.h"
#include "cria/io/hugging_face.h"

#include "trainers/pretrained_model.h"

namespace cria {

namespace {

bool same_shape(const ModelConfig& a, const ModelConfig& b) {
  const auto sizes = [](const ModelConfig& c) {
    return std::tuple(c.hidden_size, c.intermediate_size, c.num_hidden_layers,
                      c.num_attention_heads, c.num_key_value_heads, c.head_dim, c.vocab_size);
  };
  return sizes(a) == sizes(b);
}

// Whether the model can read every answer of the policy.
void check_reads_answers(const std::string& key, const std::string& directory,
                         const ModelConfig& config, const ModelConfig& policy, int64_t length) {
  if (config.vocab_size < policy.vocab_size) {
    throw input_error(key,
                      fmt::format("{} has a vocabulary of {}, the policy one of {}", directory,
                                  config.vocab_size, policy.vocab_size),
                      "use models of one family");
  }
  if (config.max_position_embeddings < length) {
    throw input_error(key, fmt::format("{} was made for {} tokens, data.max_length is {}",
                                       directory, config.max_position_embeddings, length));
  }
}

DType reference_precision(const PpoConfig& config) {
  const std::string& own = config.ppo.reference_precision;
  return dtype_of_precision(own == "policy" ? config.training.precision : own);
}

}  // namespace

PpoModels::PpoModels(const PpoConfig& config, const ModelConfig& policy_config,
                     const Tokenizer& tokenizer, Backend& backend)
    : config_(config), arena_(backend.memory()) {
  const int64_t length = config.data.max_length;
  const DType precision = dtype_of_precision(config.training.precision);
  const PassPlan plan = pass_plan(config);
  rewards_ =
      std::make_unique<RewardModels>(RewardModelOptions{.helpfulness = config.ppo.helpfulness,
                                                        .safety = config.ppo.safety,
                                                        .precision = config.ppo.reward_precision,
                                                        .batch_tokens = plan.max_tokens,
                                                        .group = "ppo"},
                                     backend, tokenizer);
  for (const auto& [key, directory] : {std::pair("ppo.helpfulness", config.ppo.helpfulness),
                                       std::pair("ppo.safety", config.ppo.safety)}) {
    if (directory.empty()) continue;
    check_reads_answers(key, directory, read_model_config(directory), policy_config, length);
  }
  const ModelConfig value_config = read_model_config(config.value_model_path());
  if (value_config.head != HeadKind::score) {
    throw input_error("ppo.value_model", config.value_model_path() + " has no score head",
                      "start the value model from a reward model");
  }
  check_reads_answers("ppo.value_model", config.value_model_path(), value_config, policy_config,
                      length);
  const ModelConfig reference_config = read_model_config(config.reference_path());
  if (reference_config.head != HeadKind::language) {
    throw input_error("ppo.reference", config.reference_path() + " has no language head");
  }
  if (reference_config.vocab_size != policy_config.vocab_size) {
    throw input_error(
        "ppo.reference",
        fmt::format("{} has a vocabulary of {}, the policy one of {}", config.reference_path(),
                    reference_config.vocab_size, policy_config.vocab_size),
        "the KL divergence compares distributions over one vocabulary");
  }
  check_reads_answers("ppo.reference", config.reference_path(), reference_config, policy_config,
                      length);

  const OptimizerOptions optimizer = optimizer_options(config);
  policy_ = std::make_unique<Learner>(policy_config, backend, precision, optimizer,
                                      passes_for(policy_config, precision, plan));
  value_ = std::make_unique<Learner>(value_config, backend, precision, optimizer,
                                     passes_for(value_config, precision, plan));
  reference_layout_ = std::make_unique<ParameterLayout>(reference_config);
  reference_ = std::make_unique<Model>(*reference_layout_, reference_precision(config), backend);
  reference_passes_ = &passes_for(reference_config, reference_->dtype(),
                                  {.max_tokens = plan.max_tokens, .training = false});
  // Of all prompts that can come in together: a pass of more rows would never be full.
  const int64_t prompt_tokens = config.ppo.slots * (length - config.ppo.response_length);
  generator_ = std::make_unique<Generator>(
      policy_->model, GeneratorOptions{
                          .slots = config.ppo.slots,
                          .max_context = length,
                          .prefill_rows = std::min(GeneratorOptions{}.prefill_rows, prompt_tokens),
                          .seed = config.training.seed,
                      });

  policy_->reserve(arena_);
  value_->reserve(arena_);
  // As in training, so that its products are the policy's, packed or not, and its bits too.
  reference_->reserve(arena_, /*training=*/true);
  reference_passes_->reserve(arena_, *reference_);
  rewards_->reserve(arena_);
  generator_->reserve(arena_);
}

PassBuffers& PpoModels::passes_for(const ModelConfig& config, DType precision,
                                   const PassPlan& plan) {
  for (size_t i = 0; i < passes_.size(); ++i) {
    if (same_shape(pass_shapes_[i], config) && passes_[i]->activations.dtype() == precision) {
      return *passes_[i];
    }
  }
  pass_shapes_.push_back(config);
  return *passes_.emplace_back(std::make_unique<PassBuffers>(config, precision, plan));
}

void PpoModels::prepare() {
  arena_.allocate();
  policy_->prepare();
  value_->prepare();
  reference_->prepare();
  read_weights(config_.reference_path(), reference_->weights, reference_->backend());
  reference_->weights_changed();
  rewards_->load();
}

void PpoModels::load_start() {
  policy_->load_model(config_.model.path);
  value_->load_model(config_.value_model_path());
}

std::vector<CheckpointModel> PpoModels::checkpoint_models() {
  return {policy_->checkpoint_model(), value_->checkpoint_model("value")};
}

void PpoModels::loaded() {
  policy_->loaded();
  value_->loaded();
}

std::string PpoModels::read_only_checksum() {
  return model_checksum(config_.reference_path()) + " " + rewards_->checksum();
}

}  // namespace cria
