// How much chosen tokens of a sequence attend to those before them: attention's weights, the
// largest over all heads and layers (the picture of Llama 2's Figure 10). The weights are
// recomputed, layer by layer, for the chosen rows alone.
#pragma once

#include <span>
#include <vector>

#include "cria/model/transformer.h"

namespace cria {

class AttentionProbe {
 public:
  // For one sequence of at most max_tokens tokens and at most max_rows of its rows.
  AttentionProbe(const Model& model, int64_t max_tokens, int64_t max_rows);
  AttentionProbe(const AttentionProbe&) = delete;
  AttentionProbe& operator=(const AttentionProbe&) = delete;

  void reserve(Arena& arena);

  // [R, T]: of each row the largest weight on each token. 0 behind the row's own token.
  std::vector<float> maxima(std::span<const int32_t> ids, std::span<const int32_t> rows);

 private:
  const Model& model_;
  const int64_t max_tokens_;
  const int64_t max_rows_;
  Activations activations_;
  DeviceBatch batch_;
  Tensor all_maxima_;             // [max_rows * max_tokens] fp32
  Tensor all_rows_, all_starts_;  // [max_rows] i32
};

}  // namespace cria
