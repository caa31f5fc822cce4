// Causal grouped-query attention over packed sequences, with an online softmax that never holds T x
// T (Dao et al., FlashAttention, 2022). Query head h reads key/value head h / (n_heads /
// n_kv_heads); a row attends to the rows of its own sequence up to itself.
//   forward:  p = softmax(scale * q k^T);  output = p v;  log_sum_exp = log sum exp(scale * q k^T)
//   backward: p from log_sum_exp again;  D = sum(output_gradient * output)
//             dv = p^T do;  ds = p * (do v^T - D);  dq = scale ds k;  dk = scale ds^T q
// Scores, softmax and accumulators are fp32; outputs round once. A GPU's tensor cores take bf16: in
// bf16 it also rounds p and ds on their way into the next product. Backward is deterministic: each
// key block and each query block is summed by one worker in a fixed order.
//
// Where q and k have been through the rotary embedding (cria/ops/rope.h), backward can take their
// gradients back through it: a GPU turns them in fp32 before they round, if a head has 32, 64, 128
// or 256 elements in bf16; else, and on the CPU, what has been rounded is turned and rounds again.
#pragma once

#include "cria/core/tensor.h"

namespace cria {

struct AttentionForward {
  Tensor output;            // [T, n_heads D]
  Tensor log_sum_exp;       // [n_heads, T] fp32
  Tensor qkv;               // [T, (n_heads + 2 n_kv_heads) D]: q heads, then k heads, then v heads
  Tensor sequence_offsets;  // [S + 1] i32, from 0 to T, ascending (an empty sequence is allowed)
  int n_heads = 0;
  int n_kv_heads = 0;
  int max_sequence_length = 0;  // longest sequence of the pack
  float scale = 1.0f;           // 1 / sqrt(D)
  Tensor workspace;             // attention_workspace_bytes(...) bytes
};

struct AttentionBackward {
  Tensor qkv_gradient;      // [T, (n_heads + 2 n_kv_heads) D], overwritten
  Tensor output_gradient;   // [T, n_heads D]
  Tensor output;            // [T, n_heads D]
  Tensor log_sum_exp;       // [n_heads, T] fp32
  Tensor qkv;               // [T, (n_heads + 2 n_kv_heads) D]
  Tensor sequence_offsets;  // [S + 1] i32
  int n_heads = 0;
  int n_kv_heads = 0;
  int max_sequence_length = 0;
  float scale = 1.0f;
  Tensor positions;   // [T] i32, each in [0, P)
  Tensor rope_table;  // [P, D] fp32: dq and dk are turned back by it; none: they are not turned
  Tensor workspace;   // attention_backward_workspace_bytes(...) bytes
};

}  // namespace cria
