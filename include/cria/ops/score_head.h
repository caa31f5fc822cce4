// Scalar head of reward and value models: one score for each chosen row of the hidden states.
//   forward:  scores[i] = sum_j hidden[rows[i]][j] * weight[j]
//   backward: hidden_gradient[rows[i]] = score_gradients[i] * weight, other rows 0
//             weight_gradient += sum_i score_gradients[i] * hidden[rows[i]], in ascending i
// fp32 accumulation; scores stay fp32. Rows are distinct.
#pragma once

#include "cria/core/tensor.h"

namespace cria {

struct ScoreHeadForward {
  Tensor scores;  // [R] fp32
  Tensor hidden;  // [T, d]
  Tensor weight;  // [1, d]
  Tensor rows;    // [R] i32, each in [0, T)
};

struct ScoreHeadBackward {
  Tensor hidden_gradient;  // [T, d], overwritten
  Tensor weight_gradient;  // [1, d] fp32 or bf16, accumulated
  Tensor score_gradients;  // [R] fp32: dL/dscore
  Tensor hidden;           // [T, d]
  Tensor weight;           // [1, d]
  Tensor rows;             // [R] i32
  Tensor workspace;        // score_head_backward_workspace_bytes(T, d) bytes
};

}  // namespace cria
