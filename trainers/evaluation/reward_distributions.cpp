#include "trainers/evaluation/reward_distributions.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace cria {

namespace {

std::vector<double> edges_of(std::span<const StageRewards> stages, int bins) {
  double low = INFINITY, high = -INFINITY;
  for (const StageRewards& stage : stages) {
    for (const double reward : stage.rewards) {
      low = std::min(low, reward);
      high = std::max(high, reward);
    }
  }
  if (low == high) {
    low -= 0.5;
    high += 0.5;
  }
  std::vector<double> edges;
  for (int i = 0; i <= bins; ++i) edges.push_back(low + (high - low) * i / bins);
  edges.back() = high;
  return edges;
}

RewardDistribution distribution_of(const std::string& stage, const std::string& part,
                                   std::vector<double> rewards, const std::vector<double>& edges) {
  RewardDistribution result{
      .stage = stage, .part = part, .answers = static_cast<int64_t>(rewards.size())};
  std::sort(rewards.begin(), rewards.end());
  const auto n = static_cast<double>(rewards.size());
  for (const double reward : rewards) result.mean += reward / n;
  double squares = 0;
  for (const double reward : rewards) squares += (reward - result.mean) * (reward - result.mean);
  if (rewards.size() > 1) result.standard_deviation = std::sqrt(squares / (n - 1));
  for (size_t i = 0; i < kQuantiles.size(); ++i) {
    result.quantiles[i] = quantile(rewards, kQuantiles[i]);
  }
  result.counts.assign(edges.size() - 1, 0);
  for (const double reward : rewards) {
    const auto above = std::upper_bound(edges.begin(), edges.end() - 1, reward);
    ++result.counts[static_cast<size_t>(above - edges.begin()) - 1];
  }
  return result;
}

// The rewards of each value of a field, in the order in which the values appear.
std::vector<std::pair<std::string, std::vector<double>>> by_value(const StageRewards& stage,
                                                                  const std::string& field) {
  std::vector<std::pair<std::string, std::vector<double>>> parts;
  for (size_t i = 0; i < stage.answers.size(); ++i) {
    const std::string value = stage.answers[i].field(field);
    if (value.empty()) continue;
    auto part = std::find_if(parts.begin(), parts.end(),
                             [&](const auto& other) { return other.first == value; });
    if (part == parts.end()) part = parts.insert(parts.end(), {value, {}});
    part->second.push_back(stage.rewards[i]);
  }
  return parts;
}

}  // namespace

double quantile(std::span<const double> sorted, double q) {
  CRIA_ASSERT(!sorted.empty() && 0 <= q && q <= 1);
  const double place = static_cast<double>(sorted.size() - 1) * q;
  const auto below = static_cast<size_t>(place);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (place - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

RewardDistributions reward_distributions(std::span<const StageRewards> stages, int bins,
                                         const std::vector<std::string>& fields) {
  RewardDistributions result{.edges = edges_of(stages, bins), .distributions = {}};
  for (const StageRewards& stage : stages) {
    const auto add = [&](const std::string& part, const std::vector<double>& rewards) {
      result.distributions.push_back(distribution_of(stage.stage, part, rewards, result.edges));
    };
    add("all", stage.rewards);
    for (const std::string& field : fields) {
      for (const auto& [value, rewards] : by_value(stage, field)) add(field + " " + value, rewards);
    }
  }
  return result;
}

nlohmann::ordered_json to_json(const RewardDistributions& distributions) {
  using nlohmann::ordered_json;
  ordered_json list = ordered_json::array();
  for (const RewardDistribution& distribution : distributions.distributions) {
    ordered_json quantiles = ordered_json::object();
    for (size_t i = 0; i < kQuantiles.size(); ++i) {
      quantiles[fmt::to_string(kQuantiles[i])] = distribution.quantiles[i];
    }
    list.push_back({{"stage", distribution.stage},
                    {"part", distribution.part},
                    {"answers", distribution.answers},
                    {"mean", distribution.mean},
                    {"standard_deviation", distribution.standard_deviation},
                    {"quantiles", std::move(quantiles)},
                    {"counts", distribution.counts}});
  }
  return {{"edges", distributions.edges}, {"distributions", std::move(list)}};
}

std::string table(const RewardDistributions& distributions) {
  size_t stage_width = 5, part_width = 4;
  for (const RewardDistribution& distribution : distributions.distributions) {
    stage_width = std::max(stage_width, distribution.stage.size());
    part_width = std::max(part_width, distribution.part.size());
  }
  std::string text = fmt::format("{:{}} {:{}} {:>7} {:>8} {:>8}", "stage", stage_width, "part",
                                 part_width, "answers", "mean", "st.dev.");
  for (const double q : kQuantiles) text += fmt::format(" {:>7.0f}%", 100 * q);
  for (const RewardDistribution& distribution : distributions.distributions) {
    text += fmt::format("\n{:{}} {:{}} {:>7} {:>8.3f} {:>8.3f}", distribution.stage, stage_width,
                        distribution.part, part_width, distribution.answers, distribution.mean,
                        distribution.standard_deviation);
    for (const double value : distribution.quantiles) text += fmt::format(" {:>8.3f}", value);
  }
  return text + "\n";
}

Plot plot(const RewardDistributions& distributions, const std::string& score) {
  Plot plot{.title = "Rewards by stage",
            .x_title = score + " (raw score)",
            .y_title = "share of the answers"};
  const std::vector<double>& edges = distributions.edges;
  for (const RewardDistribution& distribution : distributions.distributions) {
    if (distribution.part != "all") continue;
    PlotSeries series{
        .label = distribution.stage, .points = {}, .colour = static_cast<int>(plot.series.size())};
    for (size_t b = 0; b + 1 < edges.size(); ++b) {
      series.points.emplace_back(
          (edges[b] + edges[b + 1]) / 2,
          static_cast<double>(distribution.counts[b]) / static_cast<double>(distribution.answers));
    }
    plot.series.push_back(std::move(series));
  }
  return plot;
}

}  // namespace cria
