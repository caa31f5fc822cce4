// PPO's two losses (Schulman et al. 2017, eq. 7 and 9; the value clipping is that of its code, and
// TRL's), over tokens of answers:
//   policy  mean_t max(-A rho, -A clip(rho, 1 - e, 1 + e)),      rho = exp(log pi - log pi_old)
//   value   c/2 mean_t max((v - R)^2, (clip(v, v_old - e_v, v_old + e_v) - R)^2)
// A mini-batch comes in several passes on several ranks: each adds its tokens' share to sums, and
// divides by the token count of the whole mini-batch.
#pragma once

#include <span>

namespace cria {

// Sums over tokens. Divided by the tokens of the mini-batch they are its means.
struct PolicyLossSums {
  double loss = 0;
  double clipped = 0;    // tokens whose ratio was clipped
  double approx_kl = 0;  // of (log pi - log pi_old)^2 / 2
  double ratio = 0;
};

PolicyLossSums policy_loss(std::span<const float> logprobs, std::span<const float> old_logprobs,
                           std::span<const float> advantages, double cliprange);

// dL/d(log pi) of a token while rho is 1, with L the mean over `token_count` tokens. The language
// head makes of it what it is at the token's own rho (ops/token_logprob.h).
float policy_gradient_at_ratio_one(float advantage, double token_count);

struct ValueLossSums {
  double loss = 0;     // without vf_coef
  double clipped = 0;  // tokens whose clipped error was the larger one
};

struct ValueLossOptions {
  double cliprange = 0.2;
  double vf_coef = 0.1;
};

// gradients: dL/dv for each token, vf_coef included.
ValueLossSums value_loss(std::span<float> gradients, std::span<const float> values,
                         std::span<const float> old_values, std::span<const float> returns,
                         const ValueLossOptions& options, double token_count);

}  // namespace cria
