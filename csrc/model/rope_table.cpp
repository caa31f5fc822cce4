#include "cria/model/rope_table.h"

#include <cmath>

#include "cria/core/parallel.h"

namespace cria {

std::vector<float> rope_inverse_frequencies(int head_dim, double theta) {
  std::vector<float> frequencies(static_cast<size_t>(head_dim / 2));
  for (size_t i = 0; i < frequencies.size(); ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(head_dim);
    // The power of fp32 operands rounded once: what a good fp32 pow returns.
    const float power = static_cast<float>(
        std::pow(static_cast<double>(static_cast<float>(theta)), static_cast<double>(exponent)));
    frequencies[i] = 1.0f / power;
  }
  return frequencies;
}

void fill_rope_table(float* table, int64_t positions, int head_dim, double theta) {
  const std::vector<float> frequencies = rope_inverse_frequencies(head_dim, theta);
  const int64_t half = head_dim / 2;
  parallel_for(positions, 64, [&](int64_t begin, int64_t end) {
    for (int64_t position = begin; position < end; ++position) {
      float* row = table + position * head_dim;
      for (int64_t i = 0; i < half; ++i) {
        const float angle = static_cast<float>(position) * frequencies[static_cast<size_t>(i)];
        row[i] = static_cast<float>(std::cos(static_cast<double>(angle)));
        row[half + i] = static_cast<float>(std::sin(static_cast<double>(angle)));
      }
    }
  });
}

}  // namespace cria
