// SwiGLU (Shazeer 2020) on the fused product of the gate and up matrices.
//   forward:  output = silu(gate) * up,  silu(x) = x * s(x),  s(x) = 1 / (1 + e^-x)
//   backward: d_up = dy * silu(gate);  d_gate = dy * up * s * (1 + gate * (1 - s))
// Computed in fp32, rounded once. The backward pass can leave the forward's output again, which is
// what the product after it needs for its weight gradient: so training need not keep it.
#pragma once

#include "cria/core/tensor.h"

namespace cria {

struct SwigluForward {
  Tensor output;   // [T, f]
  Tensor gate_up;  // [T, 2 f]: gate, then up
};

struct SwigluBackward {
  Tensor gate_up_gradient;  // [T, 2 f]; may be the same memory as gate_up
  Tensor output;            // [T, f] or empty; may be the same memory as output_gradient
  Tensor output_gradient;   // [T, f]
  Tensor gate_up;           // [T, 2 f]
};

}  // namespace cria
