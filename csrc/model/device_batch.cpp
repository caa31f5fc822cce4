#include "cria/model/device_batch.h"

#include <algorithm>

namespace cria {

void DeviceBatch::reserve(Arena& arena) {
  for (Tensor* tensor :
       {&ids_all_, &positions_all_, &targets_all_, &kept_all_, &kept_places_all_}) {
    arena.reserve(*tensor, "activations", DType::i32, Shape{max_tokens_});
  }
  // Each sequence has at least one token, so no pack holds more sequences than tokens.
  arena.reserve(offsets_all_, "activations", DType::i32, Shape{max_tokens_ + 1});
}

namespace {

// For each of T rows whether it is kept: those that are read, and the first others that make up
// the multiple of 128. Empty: all are.
std::vector<char> rows_to_keep(std::span<const int32_t> read, int64_t tokens) {
  std::vector<char> keep(static_cast<size_t>(tokens));
  for (const int32_t row : read) keep.at(static_cast<size_t>(row)) = 1;
  const int64_t count = std::count(keep.begin(), keep.end(), 1);
  int64_t missing = round_up_tokens(count) - count;
  if (read.empty() || count + missing >= tokens) return {};
  for (size_t row = 0; missing > 0; ++row) {
    if (keep[row] == 0) --missing;
    keep[row] = 1;
  }
  return keep;
}

}  // namespace

void DeviceBatch::upload(Backend& backend, const PackedBatch& batch,
                         std::span<const int32_t> read) {
  CRIA_ASSERT(batch.tokens() <= max_tokens_);
  const auto fill = [&](Tensor& view, Tensor all, const std::vector<int32_t>& values) {
    view = all.rows(0, static_cast<int64_t>(values.size()));
    backend.copy_from_host(view, values.data());
  };
  fill(ids, ids_all_, batch.ids);
  fill(positions, positions_all_, batch.positions);
  fill(targets, targets_all_, batch.targets);
  fill(sequence_offsets, offsets_all_, batch.sequence_offsets);
  kept = kept_places = {};
  if (const std::vector<char> keep = rows_to_keep(read, batch.tokens()); !keep.empty()) {
    std::vector<int32_t> rows;
    std::vector<int32_t> places(keep.size(), -1);
    for (size_t row = 0; row < keep.size(); ++row) {
      if (keep[row] == 0) continue;
      places[row] = static_cast<int32_t>(rows.size());
      rows.push_back(static_cast<int32_t>(row));
    }
    std::replace(places.begin(), places.end(), -1, static_cast<int32_t>(rows.size()));
    fill(kept, kept_all_, rows);
    fill(kept_places, kept_places_all_, places);
  }
  max_sequence_length_ = batch.max_sequence_length;
  target_count_ = std::count_if(batch.targets.begin(), batch.targets.end(),
                                [](int32_t target) { return target >= 0; });
}

}  // namespace cria
