// output[0] = sum of input^2: the part of a gradient's global norm. Chunks of a fixed number of
// elements are summed in fp32 and the chunks in double, in a fixed order that does not depend on
// the thread count. Not finite when any element is not.
#pragma once

#include "cria/core/tensor.h"

namespace cria {

struct SumOfSquares {
  Tensor output;     // [1] fp32
  Tensor input;      // [n] fp32 or bf16
  Tensor workspace;  // sum_of_squares_workspace_bytes(n) bytes
};

}  // namespace cria
