// How far the policy is from the reference. With d = log pi - log pi_ref of a sampled token
// (Schulman, "Approximating KL Divergence", 2020):
//   k1 = d                  unbiased, of either sign
//   k3 = exp(-d) - 1 + d    unbiased, never negative
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace cria {

enum class KlEstimator { k1, k3 };
KlEstimator parse_kl_estimator(const std::string& name);

double kl_of(KlEstimator estimator, double logprob, double reference_logprob);

// beta as it is, or adapted to a target (Ziegler et al. 2019, section 2.2):
//   beta <- beta (1 + clip(KL / target - 1, -0.2, 0.2) n / horizon)   for n answers
class KlCoefficient {
 public:
  KlCoefficient(double start, std::optional<double> target, int64_t horizon);

  double value() const { return value_; }
  void restore(double value) { value_ = value; }
  // `kl`: mean over the answers of the sum over their tokens.
  void adapt(double kl, int64_t answers);

 private:
  double value_;
  std::optional<double> target_;
  int64_t horizon_;
};

// A KL divergence is never negative, so a mean of k1 that stays below 0 says that answers are not
// what the policy would sample: other temperatures, a mask, stale weights.
class NegativeKlWatch {
 public:
  // By chance, at a policy that is the reference: once in 2^10 iterations.
  static constexpr int64_t kLasting = 10;

  // True when `mean_k1` is the kLasting-th in a row below 0.
  bool warns(double mean_k1);
  int64_t run() const { return run_; }
  void restore(int64_t run) { run_ = run; }

 private:
  int64_t run_ = 0;  // of means below 0
};

}  // namespace cria
