#include "trainers/rejection/best_of_n.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

namespace cria {

namespace {

double log_binomial(int64_t n, int64_t k) {
  const auto log_factorial = [](int64_t m) { return std::lgamma(static_cast<double>(m) + 1); };
  return log_factorial(n) - log_factorial(k) - log_factorial(n - k);
}

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

}  // namespace

std::vector<double> order_statistic_weights(int64_t K, int64_t n, int64_t j) {
  CRIA_ASSERT(1 <= j && j <= n && n <= K);
  std::vector<double> weights(static_cast<size_t>(K), 0.0);
  // i - 1 smaller ones give j - 1, the K - i larger ones n - j. In logarithms: the binomials
  // overflow where K is in the hundreds, their ratio never does.
  for (int64_t i = j; i <= K - (n - j); ++i) {
    weights[static_cast<size_t>(i - 1)] =
        std::exp(log_binomial(i - 1, j - 1) + log_binomial(K - i, n - j) - log_binomial(K, n));
  }
  return weights;
}

BestOfN::BestOfN(std::vector<double> temperatures, int64_t num_samples)
    : temperatures_(std::move(temperatures)),
      num_samples_(num_samples),
      groups_(temperatures_.size()) {
  for (Group& group : groups_) group.sorted_sum.assign(static_cast<size_t>(num_samples), 0.0);
}

void BestOfN::add(const PooledSample& sample) {
  Group& group = groups_.at(static_cast<size_t>(sample.sample / num_samples_));
  group.unfinished.push_back(double{sample.score.combined});
  if (sample.finished_by_eos) ++group.finished_by_eos;
  if (static_cast<int64_t>(group.unfinished.size()) < num_samples_) return;
  // Every E_j is linear in the sorted rewards, so their sums over prompts are all it takes.
  std::sort(group.unfinished.begin(), group.unfinished.end());
  for (size_t i = 0; i < group.unfinished.size(); ++i) group.sorted_sum[i] += group.unfinished[i];
  group.unfinished.clear();
  ++group.prompts;
}

std::vector<double> BestOfN::expected_maximum(size_t temperature) const {
  const Group& group = groups_[temperature];
  std::vector<double> expected;
  for (int64_t n = 1; n <= num_samples_; ++n) {
    expected.push_back(dot(order_statistic_weights(num_samples_, n, n), group.sorted_sum) /
                       static_cast<double>(group.prompts));
  }
  return expected;
}

std::vector<double> BestOfN::expected_median(size_t temperature) const {
  const Group& group = groups_[temperature];
  std::vector<double> expected;
  for (int64_t n = 1; n <= num_samples_; ++n) {
    const double lower =
        dot(order_statistic_weights(num_samples_, n, (n + 1) / 2), group.sorted_sum);
    const double upper = dot(order_statistic_weights(num_samples_, n, n / 2 + 1), group.sorted_sum);
    expected.push_back((lower + upper) / 2 / static_cast<double>(group.prompts));
  }
  return expected;
}

double BestOfN::mean_reward(size_t temperature) const {
  const Group& group = groups_[temperature];
  return std::accumulate(group.sorted_sum.begin(), group.sorted_sum.end(), 0.0) /
         static_cast<double>(group.prompts * num_samples_);
}

double BestOfN::share_finished(size_t temperature) const {
  const Group& group = groups_[temperature];
  return static_cast<double>(group.finished_by_eos) /
         static_cast<double>(group.prompts * num_samples_);
}

nlohmann::ordered_json BestOfN::to_json() const {
  nlohmann::ordered_json result;
  result["prompts"] = groups_.front().prompts;
  result["num_samples"] = num_samples_;
  result["by_temperature"] = nlohmann::ordered_json::array();
  for (size_t t = 0; t < groups_.size(); ++t) {
    nlohmann::ordered_json entry;
    entry["temperature"] = temperatures_[t];
    entry["mean_reward"] = mean_reward(t);
    entry["finished_by_eos"] = share_finished(t);
    entry["expected_maximum"] = expected_maximum(t);  // of n = 1 … num_samples
    entry["expected_median"] = expected_median(t);
    result["by_temperature"].push_back(std::move(entry));
  }
  return result;
}

Plot BestOfN::plot() const {
  Plot plot{.title = "Expected reward of N samples",
            .x_title = "N (samples a prompt)",
            .y_title = "reward (raw score)",
            .logarithmic_x = true};
  for (size_t t = 0; t < groups_.size(); ++t) {
    const auto add = [&](const char* what, const std::vector<double>& values, bool dashed) {
      PlotSeries series{.label = fmt::format("{}, T = {}", what, temperatures_[t]),
                        .colour = static_cast<int>(t),
                        .dashed = dashed};
      for (size_t i = 0; i < values.size(); ++i) {
        series.points.emplace_back(static_cast<double>(i + 1), values[i]);
      }
      plot.series.push_back(std::move(series));
    };
    add("maximum", expected_maximum(t), false);
    add("median", expected_median(t), true);
  }
  return plot;
}

}  // namespace cria
