// Linear layer without bias, weights as in PyTorch: [out, in].
//   forward:         output = input * weight^T  (+ output when accumulate)
//   backward input:  input_gradient = output_gradient * weight
//   backward weight: weight_gradient += output_gradient^T * input
// Products accumulate in fp32 and round once to the output's dtype.
//
// A backend may run faster on weights in a layout of its own. Such packed copies are a cache that
// the caller plans: it asks linear_packed_bytes(), reserves that much (0: the backend wants none),
// and calls linear_pack() after each change of the weights. An empty packed tensor always works,
// only slower. For the same bits, use the same row count M and the same choice of packed or not.
#pragma once

#include "cria/core/tensor.h"

namespace cria {

enum class LinearUse { forward, backward };

struct LinearWeight {
  Tensor values;           // [N, K], canonical
  Tensor packed_forward;   // opaque bytes or empty
  Tensor packed_backward;  // opaque bytes or empty
};

struct LinearForward {
  Tensor output;  // [M, N], fp32 or the dtype of input
  Tensor input;   // [M, K]
  LinearWeight weight;
  bool accumulate = false;
};

struct LinearBackwardInput {
  Tensor input_gradient;   // [M, K]
  Tensor output_gradient;  // [M, N]
  LinearWeight weight;
  bool accumulate = false;
};

struct LinearBackwardWeight {
  Tensor weight_gradient;  // [N, K] fp32 or bf16, accumulated
  Tensor output_gradient;  // [M, N]
  Tensor input;            // [M, K]
};

struct LinearPack {
  Tensor packed;  // linear_packed_bytes(values, use) bytes
  Tensor values;  // [N, K]
  LinearUse use = LinearUse::forward;
};

}  // namespace cria
