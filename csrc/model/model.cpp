#include "cria/model/model.h"

#include <cmath>

#include "cria/core/parallel.h"
#include "cria/core/random.h"
#include "cria/model/rope_table.h"

namespace cria {

Model::Model(const ParameterLayout& layout, DType dtype, Backend& backend)
    : weights(layout, dtype), backend_(backend) {}

std::vector<Tensor> Model::matrices() const {
  std::vector<Tensor> list;
  for (int i = 0; i < config().num_hidden_layers; ++i) {
    const LayerTensors layer = weights.layer(i);
    for (const Tensor& matrix : {layer.qkv, layer.attention_out, layer.gate_up, layer.down}) {
      list.push_back(matrix);
    }
  }
  if (config().head == HeadKind::language) list.push_back(weights.language_head());
  return list;
}

void Model::reserve(Arena& arena, bool training) {
  weights.reserve(arena, "parameters");
  arena.reserve(rope_table, "parameters", DType::f32,
                Shape{config().max_position_embeddings, config().head_dim});
  const std::vector<Tensor> list = matrices();  // shapes only: nothing is allocated yet
  packed_.resize(list.size());
  for (size_t i = 0; i < list.size(); ++i) {
    const auto plan = [&](Tensor& packed, LinearUse use) {
      if (training && !backend_.packing_pays_in_training(dtype(), use)) return;
      const size_t bytes = backend_.linear_packed_bytes(list[i], use);
      if (bytes == 0) return;
      arena.reserve(packed, "packed weights", DType::u8, Shape{static_cast<int64_t>(bytes)});
    };
    plan(packed_[i].forward, LinearUse::forward);
    if (training) plan(packed_[i].backward, LinearUse::backward);
  }
}

void Model::prepare() {
  std::vector<float> table(static_cast<size_t>(rope_table.size()));
  fill_rope_table(table.data(), rope_table.shape[0], config().head_dim, config().rope_theta);
  backend_.copy_from_host(rope_table, table.data());
}

void Model::weights_changed() {
  const std::vector<Tensor> list = matrices();
  for (size_t i = 0; i < list.size(); ++i) {
    const auto pack = [&](Tensor packed, LinearUse use) {
      if (packed) backend_.linear_pack({.packed = packed, .values = list[i], .use = use});
    };
    pack(packed_[i].forward, LinearUse::forward);
    pack(packed_[i].backward, LinearUse::backward);
  }
}

LinearWeight Model::linear(Tensor values) const {
  const std::vector<Tensor> list = matrices();
  for (size_t i = 0; i < list.size(); ++i) {
    if (list[i].data != values.data) continue;
    return {.values = values,
            .packed_forward = packed_[i].forward,
            .packed_backward = packed_[i].backward};
  }
  return {.values = values};
}

void initialize_weights(ParameterSet& weights, Backend& backend, uint64_t seed) {
  const ModelConfig& config = weights.layout().config();
  CRIA_ASSERT(weights.dtype() == DType::f32);
  uint64_t tensor_index = 0;
  for (size_t block = 0; block < weights.block_count(); ++block) {
    for (const ParameterTensor& tensor : weights.layout().blocks()[block].tensors) {
      const bool is_norm = tensor.shape.rank() == 1;
      const double deviation = tensor.name == "score.weight"
                                   ? 1.0 / std::sqrt(static_cast<double>(config.hidden_size) + 1.0)
                                   : static_cast<double>(config.initializer_range);
      const Random random(seed, Purpose::parameter_init, tensor_index++);
      std::vector<float> values(static_cast<size_t>(tensor.shape.elements()));
      parallel_for(static_cast<int64_t>(values.size()), 4096, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          const auto index = static_cast<size_t>(i);
          values[index] = is_norm ? 1.0f : static_cast<float>(deviation * random.normal(index));
        }
      });
      backend.copy_from_host(weights.view(block, tensor), values.data());
    }
  }
}

}  // namespace cria
