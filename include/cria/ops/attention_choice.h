// Whose attention a backend's passes compute with.
#pragma once

#include <string>

#include "cria/ops/backend.h"

namespace cria {

// native: cria's own kernels, as every backend starts with. cudnn: cuDNN's fused attention, on
// `cuda`, of bf16 tensors (fp32 ones go to cria's own); forward and backward passes of training and
// scoring, not decoding. Its log_sum_exp is [T, n_heads]: attention_maxima cannot read it. Throws
// an Error of training.attention where it cannot be had.
void choose_attention(Backend& backend, const std::string& attention);

}  // namespace cria
