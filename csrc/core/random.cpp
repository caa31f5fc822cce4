#include "cria/core/random.h"

#include <cmath>
#include <numbers>

namespace cria {

float Random::normal(uint64_t position) const {
  const PhiloxBlock w = words(position);
  // (0, 1]: the logarithm below must stay finite.
  const double radius_uniform = (static_cast<double>(w[0]) + 1.0) * 0x1p-32;
  const double angle = 2.0 * std::numbers::pi * static_cast<double>(w[1]) * 0x1p-32;
  return static_cast<float>(std::sqrt(-2.0 * std::log(radius_uniform)) * std::cos(angle));
}

}  // namespace cria
