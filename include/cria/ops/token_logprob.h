// Language head: from hidden states and target ids to per-token log-probabilities, without ever
// holding the T x V logits. Rows are gathered and worked through in chunks of fixed size; rows
// without a target (target < 0) cost nothing.
//   z = hidden * head^T / temperature;  logprob = z[target] - log sum exp(z)
//   entropy = log sum exp(z) - sum p z,  p = softmax(z);  prediction = argmax z (the lowest id at a
//   tie) backward, with g = logprob_gradient:  dz = g * (onehot(target) - p) / temperature
//             hidden_gradient = dz * head;  head_gradient += dz^T * hidden
// Logits are fp32 for fp32 models. For bf16 models logits are kept in fp32 too, and dz rounds to
// bf16 before its two products. The result of a row does not depend on the other rows at the same
// T.
//
// When the weights of the loss are known before the pass, as in pretraining and SFT,
// TokenLogprobFused does both directions on each chunk and computes the logits once. So it does for
// PPO's clipped surrogate (Schulman et al. 2017, eq. 7), whose gradient depends on nothing but the
// token's own log-probability: with old_logprobs, logprob_gradients hold what g is at a ratio of 1,
// and what the pass takes is
//   g * rho,  rho = exp(logprob - old_logprob);  0 where rho is past the clip range in the
//   direction that g drives it: g < 0 and rho > 1 + cliprange, or g > 0 and rho < 1 - cliprange.
#pragma once

#include "cria/core/tensor.h"
#include "cria/ops/linear.h"

namespace cria {

struct TokenLogprobForward {
  Tensor logprobs;          // [T] fp32; 0 where there is no target
  Tensor entropies;         // [T] fp32 or empty; 0 where there is no target
  Tensor predictions;       // [T] i32 or empty; -1 where there is no target
  Tensor hidden;            // [T, d]
  LinearWeight head;        // [V, d]
  Tensor targets;           // [T] i32; < 0: none
  int64_t max_targets = 0;  // so many rows have one at most; 0: T. Bounds a GPU's launches
  float temperature = 1.0f;
  Tensor workspace;  // token_logprob_workspace_bytes(T, d, V, dtype) bytes
};

struct TokenLogprobBackward {
  Tensor hidden_gradient;    // [T, d], overwritten; 0 where there is no target
  Tensor head_gradient;      // [V, d] fp32 or bf16, accumulated
  Tensor hidden;             // [T, d]
  LinearWeight head;         // [V, d]
  Tensor targets;            // [T] i32
  Tensor logprob_gradients;  // [T] fp32: dL/dlogprob
  int64_t max_targets = 0;   // as above
  float temperature = 1.0f;
  Tensor workspace;  // token_logprob_workspace_bytes(T, d, V, dtype) bytes
};

struct TokenLogprobFused {
  Tensor logprobs;           // [T] fp32
  Tensor entropies;          // [T] fp32 or empty
  Tensor predictions;        // [T] i32 or empty
  Tensor hidden_gradient;    // [T, d], overwritten
  Tensor head_gradient;      // [V, d] fp32 or bf16, accumulated
  Tensor hidden;             // [T, d]
  LinearWeight head;         // [V, d]
  Tensor targets;            // [T] i32
  Tensor logprob_gradients;  // [T] fp32: dL/dlogprob
  Tensor old_logprobs;       // [T] fp32 or empty: no ratio
  float cliprange = 0.0f;    // with old_logprobs
  int64_t max_targets = 0;   // as above
  float temperature = 1.0f;
  Tensor workspace;  // token_logprob_workspace_bytes(T, d, V, dtype) bytes
};

}  // namespace cria
