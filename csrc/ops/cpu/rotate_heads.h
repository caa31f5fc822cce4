// The rotation of RoPE (cria/ops/rope.h) for neighbouring heads of one token.
#pragma once

#include <algorithm>
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

// Half a head is short for a vector of bf16, so several heads are widened at once.
inline void rotate_heads(bf16* heads, int64_t count, int64_t half, const float* cosine,
                         float direction) {
  constexpr int64_t kWide = 2048;
  const int64_t most = kWide / (2 * half);
  if (most == 0) return rotate_heads<bf16>(heads, count, half, cosine, direction);
  for (int64_t head = 0; head < count; head += most) {
    const int64_t together = std::min(most, count - head);
    bf16* narrow = heads + head * 2 * half;
    float wide[kWide];
    load_row(wide, narrow, together * 2 * half);
    rotate_heads(wide, together, half, cosine, direction);
    store_row(narrow, wide, together * 2 * half);
  }
}

}  // namespace cria::cpu
