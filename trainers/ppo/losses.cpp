#include "trainers/ppo/losses.h"

#include <algorithm>
#include <cmath>

#include "cria/core/error.h"

namespace cria {

PolicyLossSums policy_loss(std::span<const float> logprobs, std::span<const float> old_logprobs,
                           std::span<const float> advantages, double cliprange) {
  CRIA_ASSERT(old_logprobs.size() == logprobs.size() && advantages.size() == logprobs.size());
  PolicyLossSums sums;
  for (size_t t = 0; t < logprobs.size(); ++t) {
    const double difference =
        static_cast<double>(logprobs[t]) - static_cast<double>(old_logprobs[t]);
    const double ratio = std::exp(difference);
    const double advantage = static_cast<double>(advantages[t]);
    const double plain = -advantage * ratio;
    const double bounded = -advantage * std::clamp(ratio, 1 - cliprange, 1 + cliprange);
    sums.loss += std::max(plain, bounded);
    sums.clipped += bounded > plain ? 1 : 0;
    sums.approx_kl += 0.5 * difference * difference;
    sums.ratio += ratio;
  }
  return sums;
}

float policy_gradient_at_ratio_one(float advantage, double token_count) {
  return static_cast<float>(-static_cast<double>(advantage) / token_count);
}

ValueLossSums value_loss(std::span<float> gradients, std::span<const float> values,
                         std::span<const float> old_values, std::span<const float> returns,
                         const ValueLossOptions& options, double token_count) {
  CRIA_ASSERT(gradients.size() == values.size() && old_values.size() == values.size() &&
              returns.size() == values.size());
  ValueLossSums sums;
  for (size_t t = 0; t < values.size(); ++t) {
    const double value = static_cast<double>(values[t]);
    const double old_value = static_cast<double>(old_values[t]);
    const double target = static_cast<double>(returns[t]);
    const double error = value - target;
    const double bounded_error =
        std::clamp(value, old_value - options.cliprange, old_value + options.cliprange) - target;
    const bool is_clipped = bounded_error * bounded_error > error * error;
    gradients[t] = is_clipped ? 0.0f : static_cast<float>(options.vf_coef * error / token_count);
    sums.loss += 0.5 * std::max(error * error, bounded_error * bounded_error);
    sums.clipped += is_clipped ? 1 : 0;
  }
  return sums;
}

}  // namespace cria
