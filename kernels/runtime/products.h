// Matrix products: linear_forward and its backward passes (kernels/ops.h) by cuBLASLt on a GPU, by
// the CPU backend's products where it is emulated.
#pragma once

#include "kernels/ops.h"

namespace cria::CRIA_GPU {

// Makes what products need once, their workspace among it; products allocate nothing after.
void prepare_products();

}  // namespace cria::CRIA_GPU
