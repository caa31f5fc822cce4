// Where a library's attention finds the sequences of a pack: the start of each as a number of
// elements, in each of the tensors, and its length. Sequences that the library counts and the pack
// does not have are empty ones at the end.
#pragma once

#include "cria/core/tensor.h"

#include "kernels/device/device.h"

namespace cria::CRIA_GPU {

struct RaggedLayout {
  Tensor qkv_offsets;       // [B + 1] i32: in [T, qkv_columns]
  Tensor output_offsets;    // [B + 1] i32: in [T, output_columns]
  Tensor head_offsets;      // [B + 1] i32: in [T, n_heads]
  Tensor lengths;           // [B] i32
  Tensor sequence_offsets;  // [S + 1] i32, S <= B
  int qkv_columns = 0;
  int output_columns = 0;
  int n_heads = 0;
};

void ragged_layout(const RaggedLayout& args, Stream stream);

}  // namespace cria::CRIA_GPU
