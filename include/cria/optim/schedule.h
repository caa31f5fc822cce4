// Learning-rate schedules. Step t = 1..N, w warm-up steps, p the peak, f the final ratio:
//   t <= w:    p t / w
//   cosine:    p (f + (1 - f) (1 + cos(pi (t - w) / (N - w))) / 2)      f p at t = N
//   linear:    p (1 - (1 - f) (t - w) / (N - w))                        f p at t = N
//   constant:  p
#pragma once

#include <cstdint>
#include <string>

namespace cria {

struct Schedule {
  std::string type = "cosine";  // cosine, linear or constant
  double peak = 0;
  int64_t warmup_steps = 0;
  int64_t total_steps = 1;
  double final_ratio = 0.1;

  double learning_rate(int64_t step) const;  // step from 1
};

}  // namespace cria
