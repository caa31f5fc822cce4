// RMSNorm (Zhang & Sennrich 2019, eq. 4), alone or fused with the residual add before it.
//   forward:  h = input + residual (or input alone)
//             r = 1 / sqrt(mean(h^2) + epsilon);  output = h * r * weight
//   backward: with g = output_gradient * weight, n = h * r:
//             dh = r * (g - n * mean(g * n)) + residual_gradient
//             weight_gradient += sum over rows of output_gradient * n
// h is rounded to the storage dtype before it is normalised, so that backward sees the same h;
// everything else is fp32, output and dh are rounded once.
#pragma once

#include "cria/core/tensor.h"

namespace cria {

struct RmsNormForward {
  Tensor output;           // [T, d]
  Tensor residual_output;  // [T, d], h; empty when `residual` is
  Tensor inverse_rms;      // [T] fp32, r
  Tensor input;            // [T, d]
  Tensor residual;         // [T, d] or empty; may be the same memory as residual_output
  Tensor weight;           // [d]
  float epsilon = 1e-5f;
};

struct RmsNormBackward {
  Tensor input_gradient;     // [T, d], dh: the gradient of input and of residual alike
  Tensor weight_gradient;    // [d] fp32 or bf16, accumulated
  Tensor output_gradient;    // [T, d]
  Tensor residual_gradient;  // [T, d] or empty: what reaches h past the norm; may be
                             // input_gradient's memory
  Tensor input;              // [T, d], h of the forward pass
  Tensor inverse_rms;        // [T] fp32
  Tensor weight;             // [d]
  Tensor workspace;          // rmsnorm_backward_workspace_bytes(T, d) bytes
};

}  // namespace cria
