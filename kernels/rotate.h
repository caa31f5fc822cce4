// The rotation of RoPE (cria/ops/rope.h) for kWidth neighbouring pairs of a head.
#pragma once

#include "kernels/device/device.h"
#include "kernels/device/vector.h"

namespace cria::CRIA_GPU {

// Turns the pairs (first[k], second[k]) by `direction` (1 or -1) times their angles; `angles` are
// the cosines of the first pair on, in the table's row of the token, with the sines `half` later.
template <int kWidth, typename T>
__device__ void rotate(Vector<T, kWidth>& first, Vector<T, kWidth>& second, const float* angles,
                       int half, float direction) {
  const auto cosine = load<kWidth>(angles);
  const auto sine = load<kWidth>(angles + half);
  auto x1 = to_float(first);
  auto x2 = to_float(second);
#pragma unroll
  for (int k = 0; k < kWidth; ++k) {
    const float turn = direction * sine[k];
    const float turned = x1[k] * cosine[k] - x2[k] * turn;
    x2[k] = x2[k] * cosine[k] + x1[k] * turn;
    x1[k] = turned;
  }
  first = from_float<T>(x1);
  second = from_float<T>(x2);
}

}  // namespace cria::CRIA_GPU
