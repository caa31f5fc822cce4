// How much some rows attend to the tokens before them: attention's weights, recomputed for those
// rows alone from what attention_forward leaves, so that T x T never is. The largest over heads is
// kept; called for one layer after the other with the same maxima, the largest over layers too.
//   p[h]         = exp(scale * q[h, rows[r]] . k[h, starts[r] + c] - log_sum_exp[h, rows[r]])
//   maxima[r, c] = max(maxima[r, c], max_h p[h])        for starts[r] + c <= rows[r]
// Columns behind a row's own token stay as they are. Scores and weights are fp32.
#pragma once

#include "cria/core/tensor.h"

namespace cria {

struct AttentionMaxima {
  Tensor maxima;       // [R, C] fp32, accumulated: zero at first
  Tensor qkv;          // [T, (n_heads + 2 n_kv_heads) D], as attention_forward had it
  Tensor log_sum_exp;  // [n_heads, T] fp32, from attention_forward
  Tensor rows;         // [R] i32, each in [0, T)
  Tensor starts;       // [R] i32: the first token of the row's sequence, row - start < C
  int n_heads = 0;
  int n_kv_heads = 0;
  float scale = 1.0f;  // 1 / sqrt(D)
};

}  // namespace cria
