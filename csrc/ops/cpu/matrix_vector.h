// The product of a matrix and one vector, which decoding a single sequence is made of: bound by
// reading the matrix once, where general products reach little more than half of that.
#pragma once

#include "cria/core/tensor.h"

namespace cria::cpu {

// output[N] = matrix[N, K] * vector[K] (+ output). matrix and vector have one dtype, output has it
// too or is fp32; sums are fp32.
void multiply_by_vector(Tensor output, Tensor matrix, Tensor vector, bool accumulate);

}  // namespace cria::cpu
