// How rewards are distributed over the answers of each stage of a model's making, so that it shows
// how they move from one to the next.
#pragma once

#include <array>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "cria/report/plot.h"

#include "trainers/evaluation/answers.h"

namespace cria {

// Answers of one stage, with what each is worth.
struct StageRewards {
  std::string stage;
  std::vector<EvaluatedAnswer> answers;
  std::vector<double> rewards;  // one for each answer
};

inline constexpr std::array<double, 5> kQuantiles = {0.05, 0.25, 0.5, 0.75, 0.95};

// Of all answers of a stage, or of those with one value of a field.
struct RewardDistribution {
  std::string stage;
  std::string part;  // all, category safety, …
  int64_t answers = 0;
  double mean = 0;
  double standard_deviation = 0;  // with n - 1; 0 of a single answer
  std::array<double, kQuantiles.size()> quantiles{};
  std::vector<int64_t> counts;  // of answers in each bin
};

struct RewardDistributions {
  std::vector<double> edges;  // of the bins, of equal width, from the lowest reward to the highest
  std::vector<RewardDistribution> distributions;  // stage by stage, "all" first
};

// The q-quantile of sorted values, linear between the two nearest: at place (n - 1) q, the first
// being 0 (Hyndman and Fan 1996, definition 7; numpy's default).
double quantile(std::span<const double> sorted, double q);

// Bins are common to all stages; [from, to), the last one with its end.
RewardDistributions reward_distributions(std::span<const StageRewards> stages, int bins,
                                         const std::vector<std::string>& fields);

nlohmann::ordered_json to_json(const RewardDistributions& distributions);
std::string table(const RewardDistributions& distributions);  // for people
// Share of a stage's answers in each bin, of all its answers.
Plot plot(const RewardDistributions& distributions, const std::string& score);

}  // namespace cria
