// The language head in double precision, row by row.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace cria::testing::reference {

struct TokenLogprobInput {
  int64_t tokens, hidden_size, vocab_size;
  std::vector<double> hidden;             // [T, d]
  std::vector<double> head;               // [V, d]
  std::vector<int32_t> targets;           // [T]
  std::vector<double> logprob_gradients;  // [T]
  double temperature = 1.0;
  std::vector<double> old_logprobs = {};  // [T] or empty
  double cliprange = 0.0;
};

struct TokenLogprob {
  std::vector<double> logprobs, entropies;  // [T]
  std::vector<int32_t> predictions;         // [T]
  std::vector<double> hidden_gradient;      // [T, d]
  std::vector<double> head_gradient;        // [V, d]
  // The same sums over the magnitudes of their terms: what rounding errors are measured by.
  std::vector<double> hidden_magnitude, head_magnitude;
};

// d/d(logprob) of max(g rho, g clip(rho, 1 - c, 1 + c)), whose first term counts where it is the
// larger one: PPO's loss with -A / N as g.
inline double surrogate_gradient(double g, double ratio, double cliprange) {
  const double clipped = g * std::clamp(ratio, 1 - cliprange, 1 + cliprange);
  return clipped > g * ratio ? 0.0 : g * ratio;
}

inline TokenLogprob token_logprob(const TokenLogprobInput& in) {
  const auto d = static_cast<size_t>(in.hidden_size);
  const auto vocab_size = static_cast<size_t>(in.vocab_size);
  const auto tokens = static_cast<size_t>(in.tokens);
  TokenLogprob out{.logprobs = std::vector<double>(tokens),
                   .entropies = std::vector<double>(tokens),
                   .predictions = std::vector<int32_t>(tokens, -1),
                   .hidden_gradient = std::vector<double>(tokens * d),
                   .head_gradient = std::vector<double>(vocab_size * d),
                   .hidden_magnitude = std::vector<double>(tokens * d),
                   .head_magnitude = std::vector<double>(vocab_size * d)};
  std::vector<double> z(vocab_size);
  for (size_t t = 0; t < tokens; ++t) {
    if (in.targets[t] < 0) continue;
    const auto target = static_cast<size_t>(in.targets[t]);
    size_t largest = 0;
    for (size_t v = 0; v < vocab_size; ++v) {
      z[v] = 0;
      for (size_t j = 0; j < d; ++j) z[v] += in.hidden[t * d + j] * in.head[v * d + j];
      z[v] /= in.temperature;
      if (z[v] > z[largest]) largest = v;
    }
    double sum = 0;
    for (const double value : z) sum += std::exp(value - z[largest]);
    const double log_sum_exp = z[largest] + std::log(sum);
    out.logprobs[t] = z[target] - log_sum_exp;
    out.entropies[t] = log_sum_exp;
    out.predictions[t] = static_cast<int32_t>(largest);
    double gradient = in.logprob_gradients[t];
    if (!in.old_logprobs.empty()) {
      const double ratio = std::exp(out.logprobs[t] - in.old_logprobs[t]);
      gradient = surrogate_gradient(gradient, ratio, in.cliprange);
    }
    for (size_t v = 0; v < vocab_size; ++v) {
      const double p = std::exp(z[v] - log_sum_exp);
      out.entropies[t] -= p * z[v];
      const double dz = gradient * ((v == target) - p) / in.temperature;
      for (size_t j = 0; j < d; ++j) {
        const double to_hidden = dz * in.head[v * d + j];
        const double to_head = dz * in.hidden[t * d + j];
        out.hidden_gradient[t * d + j] += to_hidden;
        out.hidden_magnitude[t * d + j] += std::abs(to_hidden);
        out.head_gradient[v * d + j] += to_head;
        out.head_magnitude[v * d + j] += std::abs(to_head);
      }
    }
  }
  return out;
}

}  // namespace cria::testing::reference
