// AdamW (Loshchilov & Hutter 2019, algorithm 2, decoupled decay as in PyTorch) on flat buffers.
//   g = gradient_scale * gradient
//   m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2
//   w = w - learning_rate * weight_decay * w
//   w = w - learning_rate * (m / (1 - beta1^step)) / (sqrt(v / (1 - beta2^step)) + epsilon)
// All in fp32. bf16 moments are rounded stochastically with Philox words keyed by (seed, step,
// element), word 0 for m and word 1 for v, so a resumed run draws the same ones and it does not
// matter how a buffer is cut into calls; the weights are updated with m and v before that rounding.
// The bf16 copy of the weights, where there is one, is refreshed in the pass, rounded to nearest.
#pragma once

#include "cria/core/tensor.h"

namespace cria {

struct AdamW {
  Tensor parameters;     // [n] fp32 master weights, updated
  Tensor compute_copy;   // [n] bf16 or empty
  Tensor first_moment;   // [n] fp32 or bf16, updated
  Tensor second_moment;  // [n] of the first moment's dtype, updated
  Tensor gradient;       // [n] fp32 or bf16
  float learning_rate = 0.0f;
  float beta1 = 0.9f;
  float beta2 = 0.95f;
  float epsilon = 1e-5f;
  float weight_decay = 0.0f;
  float gradient_scale = 1.0f;
  int64_t step = 1;            // from 1
  uint64_t seed = 0;           // stochastic rounding
  uint64_t first_element = 0;  // index of element 0 in the whole model: the key of its random words
};

}  // namespace cria
