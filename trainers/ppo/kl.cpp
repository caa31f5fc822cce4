#include "trainers/ppo/kl.h"

#include <algorithm>
#include <cmath>

#include "cria/core/error.h"

namespace cria {

KlEstimator parse_kl_estimator(const std::string& name) {
  if (name == "k1") return KlEstimator::k1;
  if (name == "k3") return KlEstimator::k3;
  throw input_error("ppo.kl_estimator", fmt::format("'{}' is none", name), "k1 or k3");
}

double kl_of(KlEstimator estimator, double logprob, double reference_logprob) {
  const double d = logprob - reference_logprob;
  // expm1 keeps what exp(-d) - 1 would lose where policies are close.
  return estimator == KlEstimator::k1 ? d : std::max(0.0, std::expm1(-d) + d);
}

KlCoefficient::KlCoefficient(double start, std::optional<double> target, int64_t horizon)
    : value_(start), target_(target), horizon_(horizon) {}

void KlCoefficient::adapt(double kl, int64_t answers) {
  if (!target_) return;
  const double error = std::clamp(kl / *target_ - 1, -0.2, 0.2);
  value_ *= 1 + error * static_cast<double>(answers) / static_cast<double>(horizon_);
}

bool NegativeKlWatch::warns(double mean_k1) {
  run_ = mean_k1 < 0 ? run_ + 1 : 0;
  return run_ == kLasting;
}

}  // namespace cria
