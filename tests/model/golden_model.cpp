#include "model/golden_model.h"

#include <numeric>

#include "cria/io/file.h"
#include "cria/io/hugging_face.h"

#include "support/places.h"

namespace cria::testing {

std::string golden_path(const std::string& name) { return source_path("tests/golden/" + name); }

nlohmann::json golden_json(const std::string& name) {
  return nlohmann::json::parse(read_file(golden_path(name)));
}

std::vector<float> golden_values(const SafetensorsFile& file, const std::string& tensor) {
  const SafetensorsTensor* found = file.find(tensor);
  if (found == nullptr) throw input_error(file.path(), "no tensor " + tensor);
  std::vector<float> values(static_cast<size_t>(found->shape.elements()));
  convert_elements(*found, 0, found->shape.elements(), DType::f32, values.data());
  return values;
}

std::vector<Example> examples_of(const std::vector<std::vector<int32_t>>& sequences) {
  std::vector<Example> examples;
  for (const auto& ids : sequences) examples.push_back({.ids = ids, .labels = ids, .weights = {}});
  return examples;
}

GoldenModel::GoldenModel(const std::string& name, DType dtype, const PassPlan& plan,
                         const std::string& device)
    : backend_(make_backend(device)),
      layout_(read_model_config(golden_path("models/" + name))),
      arena_(backend_->memory()),
      model_(layout_, dtype, *backend_),
      gradients_(layout_, DType::f32),
      activations_(layout_.config(), dtype, plan),
      batch_(plan.max_tokens),
      language_head_(plan.max_tokens),
      score_head_(plan.max_tokens) {
  model_.reserve(arena_, plan.training);
  gradients_.reserve(arena_, "gradients");
  activations_.reserve(arena_, *backend_);
  batch_.reserve(arena_);
  if (layout_.config().head == HeadKind::language) {
    language_head_.reserve(arena_, model_);
  } else {
    score_head_.reserve(arena_, model_);
  }
  arena_.allocate();
  model_.prepare();
  read_weights(golden_path("models/" + name), model_.weights, *backend_);
  model_.weights_changed();
}

PackedBatch GoldenModel::forward(const std::vector<Example>& sequences,
                                 std::span<const int32_t> read) {
  PackedBatch packed = pack(sequences);
  batch_.upload(*backend_, packed, read);
  transformer_forward(model_, activations_, batch_);
  return packed;
}

std::vector<float> GoldenModel::outputs(const std::vector<Example>& sequences,
                                        std::span<const int32_t> read) {
  const PackedBatch packed = forward(sequences, read);
  if (layout_.config().head == HeadKind::score) {
    std::vector<int32_t> rows(static_cast<size_t>(packed.real_tokens));
    std::iota(rows.begin(), rows.end(), 0);
    return score_head_.forward(model_, activations_, rows);
  }
  const LanguageHead::Result result = language_head_.forward(model_, activations_, batch_);
  std::vector<float> logprobs;
  for (size_t t = 0; t < static_cast<size_t>(packed.real_tokens); ++t) {
    if (packed.targets[t] >= 0) logprobs.push_back(result.logprobs[t]);
  }
  return logprobs;
}

double GoldenModel::loss_with_gradients(const std::vector<Example>& sequences,
                                        std::span<const int32_t> read) {
  const PackedBatch packed = forward(sequences, read);
  const double weight_sum = packed.weight_sum();
  std::vector<float> logprob_gradients;
  for (const float weight : packed.weights) {
    logprob_gradients.push_back(static_cast<float>(-weight / weight_sum));
  }
  const LanguageHead::Result result =
      language_head_.forward_backward(model_, gradients_, activations_, batch_, logprob_gradients);
  transformer_backward(model_, gradients_, activations_, batch_);
  double loss = 0.0;
  for (size_t t = 0; t < packed.weights.size(); ++t) {
    loss -= double{packed.weights[t]} * double{result.logprobs[t]} / weight_sum;
  }
  return loss;
}

std::vector<float> GoldenModel::gradient(size_t block, const ParameterTensor& tensor) const {
  std::vector<float> values(static_cast<size_t>(tensor.shape.elements()));
  backend_->copy_to_host(values.data(), gradients_.view(block, tensor));
  return values;
}

}  // namespace cria::testing
