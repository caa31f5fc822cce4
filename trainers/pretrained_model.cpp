#include "trainers/pretrained_model.h"

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

}  // namespace cria
