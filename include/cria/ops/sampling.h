// Next-token sampling, one row of logits per sequence, each row with settings of its own.
//   z = logits / temperature, restricted to the top_k largest (0: all) and then to the smallest set
//   whose probability reaches top_p (1: all); token drawn from softmax of what is left by inverting
//   its cumulative sum in the order of token ids at uniform(seed, token_sampling, example,
//   position). temperature 0 is greedy: the largest logit, the lowest id at a tie. logprob = log
//   softmax(logits / temperature)[token], before any restriction (at temperature 1 if greedy).
// Ties at either restriction keep the lowest ids; top_p counts the probability among what top_k
// left, as Hugging Face does. fp32, sums over the vocabulary in double across blocks. A row's token
// depends on that row and its key alone. A row with a NaN or +inf gives token 0 and logprob NaN;
// -inf forbids a token.
#pragma once

#include "cria/core/tensor.h"

namespace cria {

struct Sampling {
  Tensor tokens;        // [R] i32
  Tensor logprobs;      // [R] fp32 or empty
  Tensor logits;        // [R, V] fp32
  Tensor temperatures;  // [R] fp32, >= 0
  Tensor top_k;         // [R] i32
  Tensor top_p;         // [R] fp32 in (0, 1]
  Tensor keys;          // [R, 4] i32: low and high word of the example, then of the position
  uint64_t seed = 0;
  Tensor workspace;  // sampling_workspace_bytes(R, V) bytes
};

}  // namespace cria
