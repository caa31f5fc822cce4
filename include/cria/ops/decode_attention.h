// Attention over a key/value cache kept in blocks, and the op that turns new queries and keys by
// their positions (rope.h) and writes keys and values into it.
//
// The cache of one layer is two tensors [B, n_kv_heads, block_size, D]. A sequence owns a row of
// block_tables: its token at position p lies in block block_tables[sequence][p / block_size], at
// offset p % block_size. Rows of a call are independent: decoding gives each sequence one row;
// prefill gives one sequence several rows with growing context_lengths. A row with context_length 0
// is an idle slot: nothing is written or read for it and its output is zero.
//   forward: p = softmax(scale * q K[0..context_length)^T);  output = p V[0..context_length)
// fp32 accumulation, output rounds once. A row's result depends on its own context alone.
#pragma once

#include "cria/core/tensor.h"

namespace cria {

struct KvCacheWrite {
  Tensor keys;             // [B, n_kv_heads, block_size, D]
  Tensor values;           // [B, n_kv_heads, block_size, D]
  Tensor qkv;              // [R, (n_heads + 2 n_kv_heads) D]; queries are turned in place, keys
                           // are left as they were or turned
  Tensor rope_table;       // [P, D] fp32: cos of the D/2 angles, then sin
  Tensor block_tables;     // [S, max_blocks] i32
  Tensor row_sequences;    // [R] i32: which row of block_tables
  Tensor context_lengths;  // [R] i32: position + 1 of the row's token; 0: idle
  int n_heads = 0;
  int n_kv_heads = 0;
};

struct DecodeAttention {
  Tensor output;           // [R, n_heads D]
  Tensor qkv;              // [R, (n_heads + 2 n_kv_heads) D]; only q is read
  Tensor keys;             // [B, n_kv_heads, block_size, D]
  Tensor values;           // [B, n_kv_heads, block_size, D]
  Tensor block_tables;     // [S, max_blocks] i32
  Tensor row_sequences;    // [R] i32
  Tensor context_lengths;  // [R] i32: cache entries the row attends to, its own included
  int n_heads = 0;
  int n_kv_heads = 0;
  float scale = 1.0f;
  Tensor workspace;  // decode_attention_workspace_bytes(...) bytes
};

}  // namespace cria
