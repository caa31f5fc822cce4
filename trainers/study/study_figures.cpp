#include "trainers/study/study_figures.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace cria {

namespace {

using nlohmann::ordered_json;

ordered_json mean_json(const MeanScore& mean) {
  return {{"answers", mean.answers}, {"mean", mean.mean}, {"standard_error", mean.error}};
}

std::string cell(const MeanScore& mean, double scale, int digits) {
  return fmt::format(" {:>9.{}f} ± {:<5.{}f}", scale * mean.mean, digits, scale * mean.error,
                     digits);
}

}  // namespace

MeanScore mean_of(std::span<const double> values) {
  MeanScore result{.answers = std::ssize(values)};
  const auto n = static_cast<double>(values.size());
  for (const double value : values) result.mean += value / n;
  double squares = 0;
  for (const double value : values) squares += (value - result.mean) * (value - result.mean);
  if (values.size() > 1) result.error = std::sqrt(squares / (n - 1) / n);
  return result;
}

StudyFigures::StudyFigures(const StudyOptions& options, std::vector<JudgedVariant> variants)
    : options_(options), variants_(std::move(variants)) {
  if (options.has_helpfulness) add_score("helpfulness", &AnswerScore::helpfulness, false);
  if (options.has_safety) add_score("safety", &AnswerScore::safety, true);
  add_right();
}

void StudyFigures::add_score(const std::string& name, float AnswerScore::*value,
                             bool of_safety_prompts) {
  const std::vector<EvaluatedAnswer>& asked = variants_.front().answers;
  const bool has_sort = std::any_of(asked.begin(), asked.end(), [&](const auto& answer) {
    return answer.is_safety() == of_safety_prompts;
  });
  Score score{.name = name, .stages = {}, .distributions = {}};
  for (const JudgedVariant& variant : variants_) {
    StageRewards& stage = score.stages.emplace_back();
    stage.stage = variant.name;
    for (size_t i = 0; i < variant.answers.size(); ++i) {
      if (has_sort && variant.answers[i].is_safety() != of_safety_prompts) continue;
      stage.answers.push_back(variant.answers[i]);
      stage.rewards.push_back(double{variant.scores[i].*value});
    }
  }
  score.distributions =
      reward_distributions(score.stages, static_cast<int>(options_.bins), options_.by);
  scores_.push_back(std::move(score));
}

void StudyFigures::add_right() {
  if (variants_.front().judgements.empty()) return;
  std::vector<std::string> kinds = {"all"};
  for (const EvaluatedAnswer& answer : variants_.front().answers) {
    const std::string kind = answer.field("kind");
    if (std::find(kinds.begin(), kinds.end(), kind) == kinds.end()) kinds.push_back(kind);
  }
  for (const std::string& kind : kinds) {
    RightShare share{.kind = kind, .right = {}, .safe = {}, .score = {}};
    for (const JudgedVariant& variant : variants_) {
      std::vector<double> right, safe, score;
      for (size_t i = 0; i < variant.answers.size(); ++i) {
        if (kind != "all" && variant.answers[i].field("kind") != kind) continue;
        const demo::Judgement& judgement = variant.judgements[i];
        right.push_back(judgement.right() ? 1 : 0);
        safe.push_back(judgement.safe ? 1 : 0);
        score.push_back(judgement.score());
      }
      share.right.push_back(mean_of(right));
      share.safe.push_back(mean_of(safe));
      share.score.push_back(mean_of(score));
    }
    right_.push_back(std::move(share));
  }
}

MeanScore StudyFigures::mean(const Score& score, size_t variant) const {
  return mean_of(score.stages[variant].rewards);
}

ordered_json StudyFigures::to_json() const {
  ordered_json list = ordered_json::array();
  for (size_t v = 0; v < variants_.size(); ++v) {
    ordered_json entry = {{"name", variants_[v].name}};
    if (variants_[v].x) entry["x"] = *variants_[v].x;
    for (const Score& score : scores_) entry[score.name] = mean_json(mean(score, v));
    for (const RightShare& share : right_) {
      entry["checker"][share.kind] = {{"right", mean_json(share.right[v])},
                                      {"safe", mean_json(share.safe[v])},
                                      {"score", mean_json(share.score[v])}};
    }
    list.push_back(std::move(entry));
  }
  ordered_json figures = {{"x_title", options_.x_title}, {"variants", std::move(list)}};
  for (const Score& score : scores_) {
    figures["distributions"][score.name] = cria::to_json(score.distributions);
  }
  return figures;
}

std::string StudyFigures::table() const {
  size_t width = 8;
  for (const JudgedVariant& variant : variants_) width = std::max(width, variant.name.size());
  std::string text = fmt::format("{:<{}}", "variant", width);
  for (const Score& score : scores_) text += fmt::format(" {:>17}", score.name);
  for (const RightShare& share : right_) text += fmt::format(" {:>17}", "right " + share.kind);
  for (size_t v = 0; v < variants_.size(); ++v) {
    text += fmt::format("\n{:<{}}", variants_[v].name, width);
    for (const Score& score : scores_) text += cell(mean(score, v), 1, 3);
    for (const RightShare& share : right_) text += cell(share.right[v], 100, 1);
  }
  return text + "\n";
}

std::vector<std::string> StudyFigures::scores() const {
  std::vector<std::string> names;
  for (const Score& score : scores_) names.push_back(score.name);
  return names;
}

Plot StudyFigures::distribution_plot(const std::string& name) const {
  for (const Score& score : scores_) {
    if (score.name != name) continue;
    Plot drawn = plot(score.distributions, name + " score");
    drawn.title = "Distribution of " + name + " scores by variant";
    return drawn;
  }
  throw failure("study", name + " is no score of it");
}

std::optional<Plot> StudyFigures::score_plot() const {
  if (!has_x() || scores_.empty()) return {};
  Plot plot{.title = "Mean scores by variant",
            .x_title = options_.x_title,
            .y_title = "mean score of the reward model (raw)"};
  for (const Score& score : scores_) {
    PlotSeries series{
        .label = score.name, .points = {}, .colour = static_cast<int>(plot.series.size())};
    for (size_t v = 0; v < variants_.size(); ++v) {
      series.points.emplace_back(*variants_[v].x, mean(score, v).mean);
    }
    plot.series.push_back(std::move(series));
  }
  return plot;
}

std::optional<Plot> StudyFigures::right_plot() const {
  if (!has_x() || right_.empty()) return {};
  Plot plot{.title = "Right answers by variant",
            .x_title = options_.x_title,
            .y_title = "share of right answers (%)"};
  for (const RightShare& share : right_) {
    PlotSeries series{.label = share.kind,
                      .points = {},
                      .colour = static_cast<int>(plot.series.size()),
                      .dashed = share.kind == "all"};
    for (size_t v = 0; v < variants_.size(); ++v) {
      series.points.emplace_back(*variants_[v].x, 100 * share.right[v].mean);
    }
    plot.series.push_back(std::move(series));
  }
  return plot;
}

}  // namespace cria
