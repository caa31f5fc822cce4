#include "trainers/preference_evaluation.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "trainers/logistic.h"

namespace cria {

namespace {

double confidence_of(const JudgedPair& pair) {
  return sigmoid(std::abs(pair.chosen - pair.rejected));
}

bool is_right(const JudgedPair& pair) { return pair.chosen > pair.rejected; }

std::vector<CalibrationBin> bins_of(std::span<const JudgedPair> pairs) {
  std::vector<CalibrationBin> bins(kCalibrationBins);
  constexpr double kWidth = 0.5 / kCalibrationBins;
  for (size_t b = 0; b < bins.size(); ++b) {
    bins[b].from = 0.5 + kWidth * static_cast<double>(b);
    bins[b].to = 0.5 + kWidth * static_cast<double>(b + 1);
  }
  for (const JudgedPair& pair : pairs) {
    const double confidence = confidence_of(pair);
    const auto b = static_cast<size_t>((confidence - 0.5) / kWidth);
    CalibrationBin& bin = bins[std::min(b, bins.size() - 1)];
    ++bin.pairs;
    bin.confidence += confidence;
    bin.accuracy += is_right(pair) ? 1 : 0;
  }
  for (CalibrationBin& bin : bins) {
    if (bin.pairs == 0) continue;
    bin.confidence /= static_cast<double>(bin.pairs);
    bin.accuracy /= static_cast<double>(bin.pairs);
  }
  return bins;
}

PreferencePart part_of(const std::string& name, std::span<const JudgedPair> pairs) {
  PreferencePart part{.name = name, .pairs = static_cast<int64_t>(pairs.size())};
  const auto count = static_cast<double>(pairs.size());
  for (const JudgedPair& pair : pairs) {
    part.accuracy += is_right(pair) ? 1 : 0;
    part.margin += pair.chosen - pair.rejected;
  }
  part.accuracy /= count;
  part.margin /= count;
  for (const CalibrationBin& bin : bins_of(pairs)) {
    part.calibration_error +=
        static_cast<double>(bin.pairs) / count * std::abs(bin.accuracy - bin.confidence);
  }
  return part;
}

// The rating, the category or the source of a pair, as a part's name.
std::string rating_name(const PreferencePair& pair) {
  return pair.rating ? std::string(kRatingNames[static_cast<size_t>(*pair.rating)]) : "unrated";
}
std::string category_name(const PreferencePair& pair) {
  return std::string(kCategoryNames[static_cast<size_t>(pair.category)]);
}
std::string source_name(const PreferencePair& pair) { return "source " + pair.source; }

// Parts in the order of `names`, those that are not among them after, as they come.
template <typename NameOf>
void add_parts(std::span<const JudgedPair> pairs, std::vector<std::string> names,
               const NameOf& name_of, std::vector<PreferencePart>& parts) {
  std::vector<std::vector<JudgedPair>> members(names.size());
  for (const JudgedPair& pair : pairs) {
    const std::string name = name_of(*pair.pair);
    const auto found = std::find(names.begin(), names.end(), name);
    const auto index = static_cast<size_t>(found - names.begin());
    if (found == names.end()) {
      names.push_back(name);
      members.emplace_back();
    }
    members[index].push_back(pair);
  }
  for (size_t i = 0; i < names.size(); ++i) {
    if (!members[i].empty()) parts.push_back(part_of(names[i], members[i]));
  }
}

}  // namespace

PreferenceEvaluation evaluate_preferences(std::span<const JudgedPair> pairs) {
  CRIA_ASSERT(!pairs.empty());
  PreferenceEvaluation evaluation;
  std::vector<PreferencePart>& parts = evaluation.parts;
  parts.push_back(part_of("all", pairs));
  add_parts(pairs, {std::begin(kRatingNames), std::end(kRatingNames)}, rating_name, parts);
  add_parts(pairs, {std::begin(kCategoryNames), std::end(kCategoryNames)}, category_name, parts);
  add_parts(pairs, {}, source_name, parts);
  evaluation.bins = bins_of(pairs);
  return evaluation;
}

Figures figures_of(const PreferenceEvaluation& evaluation) {
  Figures figures = {{"calibration_error", evaluation.parts.front().calibration_error}};
  for (const PreferencePart& part : std::span(evaluation.parts).subspan(1)) {
    figures.emplace_back("accuracy/" + part.name, part.accuracy);
    figures.emplace_back("margin/" + part.name, part.margin);
  }
  return figures;
}

nlohmann::ordered_json to_json(const PreferenceEvaluation& evaluation) {
  using nlohmann::ordered_json;
  ordered_json parts = ordered_json::object();
  for (const PreferencePart& part : evaluation.parts) {
    parts[part.name] = {{"pairs", part.pairs},
                        {"accuracy", part.accuracy},
                        {"margin", part.margin},
                        {"calibration_error", part.calibration_error}};
  }
  ordered_json bins = ordered_json::array();
  for (const CalibrationBin& bin : evaluation.bins) {
    bins.push_back({{"from", bin.from},
                    {"to", bin.to},
                    {"pairs", bin.pairs},
                    {"confidence", bin.confidence},
                    {"accuracy", bin.accuracy}});
  }
  return {{"parts", std::move(parts)}, {"calibration", std::move(bins)}};
}

std::string table(const PreferenceEvaluation& evaluation) {
  size_t width = 0;
  for (const PreferencePart& part : evaluation.parts) width = std::max(width, part.name.size());
  std::string text = fmt::format("{:{}} {:>8} {:>9} {:>8} {:>12}\n", "", width, "pairs", "accuracy",
                                 "margin", "calibration");
  for (const PreferencePart& part : evaluation.parts) {
    text += fmt::format("{:{}} {:>8} {:>8.1f}% {:>8.3f} {:>12.3f}\n", part.name, width, part.pairs,
                        100 * part.accuracy, part.margin, part.calibration_error);
  }
  text += fmt::format("\n{:13} {:>8} {:>11} {:>9}\n", "confidence", "pairs", "mean", "right");
  for (const CalibrationBin& bin : evaluation.bins) {
    text += fmt::format("{:.2f} to {:.2f}  {:>8}", bin.from, bin.to, bin.pairs);
    if (bin.pairs > 0) {
      text += fmt::format(" {:>10.1f}% {:>8.1f}%", 100 * bin.confidence, 100 * bin.accuracy);
    }
    text += "\n";
  }
  return text;
}

}  // namespace cria
