#include "trainers/ppo/advantages.h"

#include <cmath>

#include "cria/core/error.h"

namespace cria {

Moments moments(std::span<const float> values) {
  if (values.empty()) return {};
  const auto count = static_cast<double>(values.size());
  Moments result;
  for (const float value : values) result.mean += static_cast<double>(value);
  result.mean /= count;
  if (values.size() < 2) return result;
  for (const float value : values) {
    const double distance = static_cast<double>(value) - result.mean;
    result.variance += distance * distance;
  }
  result.variance /= count - 1;
  return result;
}

void whiten(std::span<float> values, bool centre) {
  const auto [mean, variance] = moments(values);
  const double scale = 1 / std::sqrt(variance + 1e-8);
  for (float& value : values) {
    const double whitened = (static_cast<double>(value) - mean) * scale;
    value = static_cast<float>(centre ? whitened : whitened + mean);
  }
}

void estimate_advantages(AdvantagesOut out, std::span<const float> rewards,
                         std::span<const float> values, const GaeOptions& options) {
  CRIA_ASSERT(rewards.size() == values.size() && out.advantages.size() == values.size() &&
              out.returns.size() == values.size());
  double next_value = 0;
  double next_advantage = 0;
  for (size_t t = values.size(); t-- > 0;) {
    const double value = static_cast<double>(values[t]);
    const double delta = static_cast<double>(rewards[t]) + options.gamma * next_value - value;
    next_advantage = delta + options.gamma * options.lam * next_advantage;
    next_value = value;
    out.advantages[t] = static_cast<float>(next_advantage);
    out.returns[t] = static_cast<float>(next_advantage + value);
  }
}

double explained_variance(std::span<const float> returns, std::span<const float> values) {
  CRIA_ASSERT(returns.size() == values.size());
  std::vector<float> errors(returns.size());
  for (size_t t = 0; t < returns.size(); ++t) errors[t] = returns[t] - values[t];
  const double variance = moments(returns).variance;
  return variance > 0 ? 1 - moments(errors).variance / variance : 0;
}

}  // namespace cria
