// Rotary position embedding (Su et al. 2021), in the half-split convention of Hugging Face: element
// i of the first half of a head is paired with element i of its second half, and both turn by the
// angle position * theta^(-2i/D).
//   forward:  x1' = x1 cos - x2 sin;  x2' = x2 cos + x1 sin
//   backward: the inverse rotation of the gradient
// Works in place on the query and key heads of a fused q/k/v row. cos and sin come from a table
// that the host fills once in fp32, exactly as transformers does (fill_rope_table in
// model/rope_table.h). Computed in fp32, rounded once.
#pragma once

#include "cria/core/tensor.h"

namespace cria {

struct RopeForward {
  Tensor qkv;        // [T, (n_heads + 2 n_kv_heads) D], changed in place (q and k heads only)
  Tensor positions;  // [T] i32, each in [0, P)
  Tensor table;      // [P, D] fp32: cos of the D/2 angles, then sin
  int n_heads = 0;
  int n_kv_heads = 0;
};

struct RopeBackward {
  Tensor qkv_gradient;  // [T, (n_heads + 2 n_kv_heads) D], changed in place
  Tensor positions;     // [T] i32
  Tensor table;         // [P, D] fp32
  int n_heads = 0;
  int n_kv_heads = 0;
};

}  // namespace cria
