#include "trainers/pretrained_model.h"

#include <filesystem>

#include "cria/io/hugging_face.h"

namespace cria {

DType dtype_of_precision(const std::string& precision) {
  if (precision == "fp32") return DType::f32;
  if (precision == "bf16") return DType::bf16;
  throw input_error("precision", fmt::format("'{}' is no precision", precision), "fp32 or bf16");
}

PretrainedModel::PretrainedModel(const std::string& directory, const InferenceOptions& options)
    : directory_(directory),
      backend_(make_backend(options.device)),
      layout_(read_model_config(directory)),
      arena_(backend_->memory()),
      model_(layout_, dtype_of_precision(options.precision), *backend_) {
  model_.reserve(arena_, /*training=*/false);
}

const Tokenizer& PretrainedModel::tokenizer() {
  if (!tokenizer_) tokenizer_.emplace(directory_ + "/tokenizer.model");
  return *tokenizer_;
}

void PretrainedModel::load() {
  arena_.allocate();
  model_.prepare();
  read_weights(directory_, model_.weights, *backend_);
  model_.weights_changed();
}

void require_tokenizer(const std::string& directory, const ModelConfig& config,
                       const Tokenizer& tokenizer, const std::string& key) {
  const std::string own = directory + "/tokenizer.model";
  const bool has_own = std::filesystem::exists(own);
  const char* remedy = "ids must mean the same to both: use models of one family";
  if (config.vocab_size < tokenizer.vocab_size() ||
      (!has_own && config.vocab_size != tokenizer.vocab_size())) {
    throw input_error(key,
                      fmt::format("{} has a vocabulary of {}, the tokenizer in use one of {}",
                                  directory, config.vocab_size, tokenizer.vocab_size()),
                      remedy);
  }
  if (has_own && Tokenizer(own).model_bytes() != tokenizer.model_bytes()) {
    throw input_error(key, own + " is not the tokenizer in use", remedy);
  }
}

}  // namespace cria
