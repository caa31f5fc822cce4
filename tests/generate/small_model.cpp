#include "generate/small_model.h"

#include "cria/core/random.h"
#include "cria/io/hugging_face.h"

#include "support/places.h"

namespace cria::testing {

namespace {
constexpr int64_t kMaxTokens = 512;
}

ModelConfig small_config(int heads, int key_value_heads) {
  return {.vocab_size = 97,
          .hidden_size = 48,
          .intermediate_size = 80,
          .num_hidden_layers = 3,
          .num_attention_heads = heads,
          .num_key_value_heads = key_value_heads,
          .head_dim = 12,
          .max_position_embeddings = 300,
          .initializer_range = 0.4f};
}

SmallModel::SmallModel(const ModelConfig& config, DType dtype, uint64_t seed,
                       const std::string& device)
    : backend_(make_backend(device)),
      layout_(config),
      arena_(backend_->memory()),
      model_(layout_, dtype, *backend_),
      seed_(seed),
      activations_(config, dtype, {.max_tokens = kMaxTokens, .training = false}),
      batch_(kMaxTokens),
      head_(kMaxTokens) {
  model_.reserve(arena_, /*training=*/false);
  activations_.reserve(arena_, *backend_);
  batch_.reserve(arena_);
  head_.reserve(arena_, model_);
}

void SmallModel::load() {
  arena_.allocate();
  model_.prepare();
  Arena masters_arena(backend_->memory());
  ParameterSet masters(layout_, DType::f32);
  masters.reserve(masters_arena, "parameters");
  masters_arena.allocate();
  initialize_weights(masters, *backend_, seed_);
  for (size_t block = 0; block < masters.block_count(); ++block) {
    if (model_.dtype() == DType::f32) {
      backend_->copy(model_.weights.block(block), masters.block(block));
    } else {
      backend_->cast(model_.weights.block(block), masters.block(block));
    }
  }
  model_.weights_changed();
}

void SmallModel::load(const std::string& directory) {
  arena_.allocate();
  model_.prepare();
  read_weights(directory, model_.weights, *backend_);
  model_.weights_changed();
}

SmallModel::Scored SmallModel::score(const std::vector<int32_t>& ids, float temperature) {
  const Example example{.ids = ids, .labels = ids};
  batch_.upload(*backend_, pack(std::span(&example, 1)));
  transformer_forward(model_, activations_, batch_);
  const LanguageHead::Result result = head_.forward(model_, activations_, batch_, temperature);
  const auto count = static_cast<std::ptrdiff_t>(ids.size()) - 1;
  return {{result.logprobs.begin(), result.logprobs.begin() + count},
          {result.predictions.begin(), result.predictions.begin() + count}};
}

std::vector<int32_t> random_prompt(int64_t length, int64_t vocab_size, uint64_t seed) {
  const Random random(seed, Purpose::data_synthesis);
  std::vector<int32_t> prompt;
  for (int64_t i = 0; i < length; ++i) {
    prompt.push_back(static_cast<int32_t>(random.below(static_cast<uint64_t>(vocab_size), i)));
  }
  return prompt;
}

}  // namespace cria::testing
