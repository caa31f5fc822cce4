// Sets of parameters of a tiny model, with memory of their own and distinct values.
#pragma once

#include <cstring>
#include <memory>
#include <vector>

#include "cria/model/parameters.h"
#include "cria/ops/backend.h"

namespace cria {

inline ModelConfig small_config(HeadKind head = HeadKind::language, bool tied = false) {
  return {.vocab_size = 20,
          .hidden_size = 8,
          .intermediate_size = 12,
          .num_hidden_layers = 2,
          .num_attention_heads = 4,
          .num_key_value_heads = 2,
          .head_dim = 2,
          .max_position_embeddings = 64,
          .tie_word_embeddings = tied,
          .pad_token_id = head == HeadKind::score ? 0 : -1,
          .head = head};
}

struct SmallSet {
  explicit SmallSet(const ModelConfig& config, DType dtype = DType::f32)
      : layout(config), set(layout, dtype), arena(host_memory()) {
    set.reserve(arena, "parameters");
    arena.allocate();
  }

  // Values that bf16 cannot hold (when the set is f32), none of them twice.
  void fill(float offset) {
    float value = offset;
    for (const Tensor& tensor : tensors()) {
      visit_dtype(tensor.dtype, [&]<typename T>() {
        for (int64_t i = 0; i < tensor.size(); ++i) {
          tensor.as<T>()[i] = static_cast<T>(value += 0.001f);
        }
      });
    }
  }

  std::vector<Tensor> tensors() const {
    std::vector<Tensor> views;
    for (size_t block = 0; block < set.block_count(); ++block) {
      for (const ParameterTensor& tensor : layout.blocks()[block].tensors) {
        views.push_back(set.view(block, tensor));
      }
    }
    return views;
  }

  // Every block, the gaps between tensors included.
  std::vector<std::byte> bytes() const {
    std::vector<std::byte> all;
    for (size_t block = 0; block < set.block_count(); ++block) {
      const auto* data = static_cast<const std::byte*>(set.block(block).data);
      all.insert(all.end(), data, data + set.block(block).bytes());
    }
    return all;
  }

  ParameterLayout layout;
  ParameterSet set;
  Arena arena;
};

}  // namespace cria
