// The logistic function, exact in both tails.
#pragma once

#include <algorithm>
#include <cmath>

namespace cria {

// sigma(x) = 1 / (1 + e^-x)
inline double sigmoid(double x) {
  const double e = std::exp(-std::abs(x));
  return (x >= 0 ? 1.0 : e) / (1.0 + e);
}

// log(1 + e^x) = -log sigma(-x)
inline double softplus(double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x))); }

}  // namespace cria
