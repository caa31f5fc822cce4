// A batch without padding: S sequences one after the other in one stream of T tokens. T is rounded
// up to a multiple of 128, so that products and cached plans see few shapes; the tail is a sequence
// of its own, of zero weight.
#pragma once

#include <span>
#include <vector>

#include "cria/data/example.h"

namespace cria {

inline constexpr int64_t kTokenMultiple = 128;

struct PackedBatch {
  std::vector<int32_t> ids;        // [T]
  std::vector<int32_t> positions;  // [T], from 0 in each sequence
  std::vector<int32_t>
      sequence_offsets;          // [S + 1]; the last sequence is the tail, where there is one
  std::vector<int32_t> targets;  // [T]: the label of the next token of the same sequence, or -1
  std::vector<float> weights;    // [T]: the weight of that target
  int sequence_count = 0;        // sequences that came in, the tail not counted
  int max_sequence_length = 0;
  int64_t real_tokens = 0;  // without the tail

  int64_t tokens() const { return static_cast<int64_t>(ids.size()); }
  double weight_sum() const;
};

int64_t round_up_tokens(int64_t tokens);

PackedBatch pack(std::span<const Example> sequences);
PackedBatch pack(std::span<const Example* const> sequences);

}  // namespace cria
