// The rotation of RoPE (cria/ops/rope.h) for neighbouring heads of one token.
#pragma once

#include <cstdint>

#include "vector_math.h"

namespace cria::cpu {

// Turns `count` heads of 2 * half elements by `direction` (1 or -1) times the angles of `cosine`, a
// row of the table, with the sines after the cosines.
template <typename T>
void rotate_heads(T* heads, int64_t count, int64_t half, const float* cosine, float direction) {
  const float* sine = cosine + half;
  for (T* head = heads; head < heads + count * 2 * half; head += 2 * half) {
#pragma omp simd
    for (int64_t i = 0; i < half; ++i) {
      const float x1 = static_cast<float>(head[i]);
      const float x2 = static_cast<float>(head[half + i]);
      const float turn = direction * sine[i];
      store(head[i], x1 * cosine[i] - x2 * turn);
      store(head[half + i], x2 * cosine[i] + x1 * turn);
    }
  }
}

}  // namespace cria::cpu
