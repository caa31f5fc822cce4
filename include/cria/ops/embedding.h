// Token embedding.
//   forward:  output[t] = table[ids[t]]                                    (pure copy, no rounding)
//   backward: table_gradient[v] += sum of output_gradient[t] over ids[t] = v, in ascending t
// The scatter-add is deterministic: each table row is summed in fp32 by one worker in the order of
// t, then added to the gradient and rounded once.
#pragma once

#include "cria/core/tensor.h"

namespace cria {

struct EmbeddingForward {
  Tensor output;  // [T, d]
  Tensor table;   // [V, d], same dtype as output
  Tensor ids;     // [T] i32, each in [0, V)
};

struct EmbeddingBackward {
  Tensor table_gradient;   // [V, d] fp32 or bf16, accumulated
  Tensor output_gradient;  // [T, d]
  Tensor ids;              // [T] i32
  Tensor workspace;        // embedding_backward_workspace_bytes(T, V) bytes
};

}  // namespace cria
