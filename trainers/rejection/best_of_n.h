// What sampling more answers would gain: the expected maximum and median reward of n answers to a
// prompt as functions of n, by temperature (Llama 2, figures 7 and 8).
//
// Of K answers with the rewards r_(1) <= … <= r_(K), n are drawn without replacement; the mean of
// their j-th smallest over all C(K, n) draws is
//
//   E_j = sum_i r_(i) C(i - 1, j - 1) C(K - i, n - j) / C(K, n)
//
// an unbiased estimate of what n fresh answers would give. Maximum: j = n. Median: j = (n + 1)/2,
// for even n the mean of j = n/2 and n/2 + 1.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <vector>

#include "cria/report/plot.h"

#include "trainers/rejection/sample_pool.h"

namespace cria {

// The weights of r_(1) … r_(K) in E_j.
std::vector<double> order_statistic_weights(int64_t K, int64_t n, int64_t j);

class BestOfN {
 public:
  BestOfN(std::vector<double> temperatures, int64_t num_samples);  // of each temperature

  // Samples in the order of the pool.
  void add(const PooledSample& sample);

  // Means over prompts, for n = 1 … K.
  std::vector<double> expected_maximum(size_t temperature) const;
  std::vector<double> expected_median(size_t temperature) const;
  double mean_reward(size_t temperature) const;
  double share_finished(size_t temperature) const;

  nlohmann::ordered_json to_json() const;
  Plot plot() const;

 private:
  struct Group {                     // the samples of one temperature
    std::vector<double> unfinished;  // rewards of the prompt under way
    std::vector<double> sorted_sum;  // K: sum of r_(i) over prompts
    int64_t prompts = 0;
    int64_t finished_by_eos = 0;
  };

  const std::vector<double> temperatures_;
  const int64_t num_samples_;
  std::vector<Group> groups_;
};

}  // namespace cria
