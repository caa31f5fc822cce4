// One training example: token ids, for each token the id that the model should have predicted
// there, and how much that prediction counts.
//
// labels[i] belongs to ids[i] itself, as in transformers: the prediction made at position i - 1 is
// compared with labels[i] (so labels[0] is never used). kNoLabel carries no loss.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace cria {

inline constexpr int32_t kNoLabel = -100;

struct Example {
  std::vector<int32_t> ids;
  std::vector<int32_t> labels;
  std::vector<float> weights;  // empty: 1 wherever there is a label
  // Its number in data that knows more of it than these tokens (data/preference_data.h), else -1.
  int64_t item = -1;

  float weight(size_t i) const {
    if (labels[i] == kNoLabel) return 0.0f;
    return weights.empty() ? 1.0f : weights[i];
  }
};

}  // namespace cria
