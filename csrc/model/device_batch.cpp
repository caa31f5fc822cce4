#include "cria/model/device_batch.h"

#include <algorithm>

namespace cria {

void DeviceBatch::reserve(Arena& arena) {
  for (Tensor* tensor : {&ids_all_, &positions_all_, &targets_all_}) {
    arena.reserve(*tensor, "activations", DType::i32, Shape{max_tokens_});
  }
  // Each sequence has at least one token, so no pack holds more sequences than tokens.
  arena.reserve(offsets_all_, "activations", DType::i32, Shape{max_tokens_ + 1});
}

void DeviceBatch::upload(Backend& backend, const PackedBatch& batch) {
  CRIA_ASSERT(batch.tokens() <= max_tokens_);
  const auto fill = [&](Tensor& view, Tensor all, const std::vector<int32_t>& values) {
    view = all.rows(0, static_cast<int64_t>(values.size()));
    backend.copy_from_host(view, values.data());
  };
  fill(ids, ids_all_, batch.ids);
  fill(positions, positions_all_, batch.positions);
  fill(targets, targets_all_, batch.targets);
  fill(sequence_offsets, offsets_all_, batch.sequence_offsets);
  max_sequence_length_ = batch.max_sequence_length;
  target_count_ = std::count_if(batch.targets.begin(), batch.targets.end(),
                                [](int32_t target) { return target >= 0; });
}

}  // namespace cria
