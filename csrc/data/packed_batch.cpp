#include "cria/data/packed_batch.h"

#include <algorithm>
#include <numeric>

#include "cria/core/error.h"

namespace cria {

int64_t round_up_tokens(int64_t tokens) {
  return (tokens + kTokenMultiple - 1) / kTokenMultiple * kTokenMultiple;
}

double PackedBatch::weight_sum() const {
  return std::accumulate(weights.begin(), weights.end(), 0.0);
}

static void append(PackedBatch& batch, const Example& sequence) {
  const size_t length = sequence.ids.size();
  CRIA_ASSERT(length > 0 && sequence.labels.size() == length);
  CRIA_ASSERT(sequence.weights.empty() || sequence.weights.size() == length);
  batch.ids.insert(batch.ids.end(), sequence.ids.begin(), sequence.ids.end());
  for (size_t i = 0; i < length; ++i) {
    const bool predicts = i + 1 < length && sequence.labels[i + 1] != kNoLabel;
    batch.positions.push_back(static_cast<int32_t>(i));
    batch.targets.push_back(predicts ? sequence.labels[i + 1] : -1);
    batch.weights.push_back(predicts ? sequence.weight(i + 1) : 0.0f);
  }
  batch.sequence_offsets.push_back(static_cast<int32_t>(batch.ids.size()));
  batch.max_sequence_length = std::max(batch.max_sequence_length, static_cast<int>(length));
}

// The tail's positions start again at the length of the longest real sequence, so that a tail never
// reaches positions that the model does not have.
static void append_tail(PackedBatch& batch) {
  const int64_t tail = round_up_tokens(batch.real_tokens) - batch.real_tokens;
  if (tail == 0) return;
  const int32_t period = batch.max_sequence_length;
  for (int32_t i = 0; i < tail; ++i) batch.positions.push_back(i % period);
  const size_t total = batch.positions.size();
  batch.ids.resize(total, 0);
  batch.targets.resize(total, -1);
  batch.weights.resize(total, 0.0f);
  batch.sequence_offsets.push_back(static_cast<int32_t>(total));
  batch.max_sequence_length = std::max(batch.max_sequence_length, static_cast<int>(tail));
}

PackedBatch pack(std::span<const Example* const> sequences) {
  PackedBatch batch;
  batch.sequence_offsets.push_back(0);
  for (const Example* sequence : sequences) append(batch, *sequence);
  batch.sequence_count = static_cast<int>(sequences.size());
  batch.real_tokens = static_cast<int64_t>(batch.ids.size());
  append_tail(batch);
  return batch;
}

PackedBatch pack(std::span<const Example> sequences) {
  std::vector<const Example*> pointers;
  for (const Example& sequence : sequences) pointers.push_back(&sequence);
  return pack(pointers);
}

}  // namespace cria
