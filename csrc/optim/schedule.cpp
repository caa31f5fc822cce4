#include "cria/optim/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace cria {

double Schedule::learning_rate(int64_t step) const {
  if (step <= warmup_steps) {
    return peak * static_cast<double>(step) / static_cast<double>(warmup_steps);
  }
  const double progress =
      std::min(1.0, static_cast<double>(step - warmup_steps) /
                        static_cast<double>(std::max<int64_t>(1, total_steps - warmup_steps)));
  if (type == "cosine") {
    return peak *
           (final_ratio + (1 - final_ratio) * (1 + std::cos(std::numbers::pi * progress)) / 2);
  }
  if (type == "linear") return peak * (1 - (1 - final_ratio) * progress);
  return peak;
}

}  // namespace cria
