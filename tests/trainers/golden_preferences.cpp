#include "trainers/golden_preferences.h"

#include <cmath>

#include <gtest/gtest.h>

#include "cria/io/file.h"
#include "cria/io/hugging_face.h"
#include "cria/io/safetensors.h"

#include "support/places.h"

namespace cria::testing {

std::string golden_path(const std::string& name) { return source_path("tests/golden/" + name); }

nlohmann::json golden_json(const std::string& name) {
  return nlohmann::json::parse(read_file(golden_path(name)));
}

std::unique_ptr<PreferenceData> golden_pairs() {
  return make_preference_data({.train = {{.path = golden_path("preferences/pairs.jsonl")}},
                               .shuffle = false,
                               .max_length = 128},
                              {}, Tokenizer(golden_path("tokenizer.model")));
}

GoldenLearner::GoldenLearner(const std::string& directory)
    : backend_(make_backend("cpu")),
      config_(read_model_config(golden_path(directory))),
      arena_(backend_->memory()),
      passes_(config_, DType::f32, {.max_tokens = kMaxTokens, .training = true}),
      learner_(config_, *backend_, DType::f32, {}, passes_) {
  learner_.reserve(arena_);
  arena_.allocate();
  learner_.prepare();
  learner_.load_model(golden_path(directory));
}

namespace {

std::vector<Row> all_rows(const PreferenceData& data) {
  std::vector<Row> rows;
  for (int64_t item = 0; item < data.pair_count(); ++item) {
    rows.push_back({data.pair(item).chosen, data.pair(item).rejected});
  }
  return rows;
}

}  // namespace

Figures GoldenLearner::pass_over(Objective& objective, const PreferenceData& data, PassKind kind,
                                 int64_t max_tokens) {
  const auto communicator = single_process_communicator();
  const std::vector<Group> groups = objective.groups(all_rows(data));
  learner_.optimizer.zero_gradients();
  objective.begin(groups, kind);
  for (const MicroBatch& micro : split(groups, max_tokens, 0, 1)) objective.pass(learner_, micro);
  return objective.end(*communicator);
}

void GoldenLearner::backward(const PreferenceData& data, const nlohmann::json& output_gradients) {
  const std::vector<Group> groups = all_rows(data);
  const std::vector<MicroBatch> passes = split(groups, kMaxTokens, 0, 1);
  ASSERT_EQ(passes.size(), 1u);
  const PackedBatch& packed = passes[0].packed;
  learner_.optimizer.zero_gradients();
  learner_.forward(packed);
  std::vector<float> of_answers;
  for (size_t pair = 0; pair < groups.size(); ++pair) {
    for (size_t i = 0; i < 2; ++i) of_answers.push_back(output_gradients[i][pair].get<float>());
  }
  ParameterSet& sums = learner_.optimizer.gradients();
  if (config_.head == HeadKind::score) {
    passes_.score_head.backward(learner_.model, sums, passes_.activations, last_token_rows(packed),
                                of_answers);
  } else {
    std::vector<float> of_tokens(packed.ids.size(), 0.0f);
    for (size_t s = 0; s < of_answers.size(); ++s) {
      for (auto t = static_cast<size_t>(packed.sequence_offsets[s]);
           t < static_cast<size_t>(packed.sequence_offsets[s + 1]); ++t) {
        if (packed.targets[t] >= 0) of_tokens[t] = of_answers[s];
      }
    }
    passes_.language_head.forward(learner_.model, passes_.activations, passes_.batch);
    passes_.language_head.backward(learner_.model, sums, passes_.activations, passes_.batch,
                                   of_tokens);
  }
  learner_.backward();
}

std::vector<NamedGradient> GoldenLearner::gradients() {
  const ParameterSet& sums = learner_.optimizer.gradients();
  std::vector<NamedGradient> result;
  for (size_t block = 0; block < sums.block_count(); ++block) {
    for (const ParameterTensor& tensor : sums.layout().blocks()[block].tensors) {
      NamedGradient& gradient = result.emplace_back();
      gradient.name = tensor.name;
      gradient.values.resize(static_cast<size_t>(tensor.shape.elements()));
      backend_->copy_to_host(gradient.values.data(), sums.view(block, tensor));
    }
  }
  return result;
}

std::vector<NamedGradient> golden_gradients(const std::string& name) {
  const SafetensorsFile file(golden_path("preferences/" + name + ".gradients.safetensors"));
  std::vector<NamedGradient> result;
  for (const SafetensorsTensor& tensor : file.tensors()) {
    NamedGradient& gradient = result.emplace_back();
    gradient.name = tensor.name;
    gradient.values.resize(static_cast<size_t>(tensor.shape.elements()));
    convert_elements(tensor, 0, tensor.shape.elements(), DType::f32, gradient.values.data());
  }
  return result;
}

void expect_close(const std::vector<NamedGradient>& found, const std::vector<NamedGradient>& wanted,
                  double bound) {
  ASSERT_EQ(found.size(), wanted.size());
  for (const NamedGradient& gradient : wanted) {
    const auto same = [&](const NamedGradient& other) { return other.name == gradient.name; };
    const auto other = std::find_if(found.begin(), found.end(), same);
    ASSERT_NE(other, found.end()) << gradient.name;
    ASSERT_EQ(other->values.size(), gradient.values.size()) << gradient.name;
    double distance = 0, norm = 0;
    for (size_t i = 0; i < gradient.values.size(); ++i) {
      distance += std::pow(double{other->values[i]} - double{gradient.values[i]}, 2);
      norm += std::pow(double{gradient.values[i]}, 2);
    }
    EXPECT_LE(std::sqrt(distance), bound * std::sqrt(norm)) << gradient.name;
  }
}

}  // namespace cria::testing
