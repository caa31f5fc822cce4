// From scores and values to advantages, in double precision on the host. Tokens here are those of
// answers alone, one answer after the other without padding: what is masked elsewhere does not
// exist, and can enter no statistic.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace cria {

struct Moments {
  double mean = 0;
  double variance = 0;  // unbiased; 0 of one value
};
Moments moments(std::span<const float> values);

// x <- (x - mean) / sqrt(variance + 1e-8), unbiased variance, as TRL; without `centre` the mean is
// added again.
void whiten(std::span<float> values, bool centre = true);

// Generalized advantage estimation (Schulman et al. 2016, eq. 16) over the n tokens of one answer:
//   delta_t = r_t + gamma V_{t+1} - V_t,   A_t = delta_t + gamma lambda A_{t+1},
//   V_n = A_n = 0: nothing comes after the last token.
// returns = A + V, before any whitening.
struct GaeOptions {
  double gamma = 1.0;
  double lam = 0.95;
};
struct AdvantagesOut {
  std::span<float> advantages;
  std::span<float> returns;
};
void estimate_advantages(AdvantagesOut out, std::span<const float> rewards,
                         std::span<const float> values, const GaeOptions& options);

// 1 - var(returns - values) / var(returns): how much of the returns the value model foretold.
double explained_variance(std::span<const float> returns, std::span<const float> values);

}  // namespace cria
