// How well a model tells better answers from worse ones: accuracy and mean margin over all pairs,
// by rating, by category and by source (Llama 2, tables 7 and 8), and calibration.
//
// By the Bradley-Terry model a prefers its better-valued answer with the confidence
//   sigma(|r_c - r_r|), from 1/2 to 1,
// and is right where r_c > r_r. Expected calibration error (Guo et al. 2017, equation 3):
//   ECE = sum over bins b of (n_b / n) |accuracy_b - mean confidence_b|
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "cria/data/preference_data.h"

#include "trainers/run_directory.h"

namespace cria {

// A pair, and what a model holds its answers to be worth.
struct JudgedPair {
  const PreferencePair* pair = nullptr;
  double chosen = 0;    // r_c
  double rejected = 0;  // r_r
};

// Of all pairs, or of a part of them.
struct PreferencePart {
  std::string name;  // all, significantly_better, …, unrated, helpful, safety, source NAME
  int64_t pairs = 0;
  double accuracy = 0;  // share of r_c > r_r
  double margin = 0;    // mean r_c - r_r
  double calibration_error = 0;
};

// The pairs whose confidence lies in [from, to), the last bin with its end.
struct CalibrationBin {
  double from = 0, to = 0;
  int64_t pairs = 0;
  double confidence = 0;  // mean
  double accuracy = 0;
};

inline constexpr int kCalibrationBins = 10;  // of equal width

struct PreferenceEvaluation {
  std::vector<PreferencePart> parts;  // "all" first; only those that have pairs
  std::vector<CalibrationBin> bins;   // of all pairs
};

// At least one pair. Sums run in the order of the pairs.
PreferenceEvaluation evaluate_preferences(std::span<const JudgedPair> pairs);

// calibration_error, then accuracy/PART and margin/PART of every part but "all".
Figures figures_of(const PreferenceEvaluation& evaluation);
nlohmann::ordered_json to_json(const PreferenceEvaluation& evaluation);
std::string table(const PreferenceEvaluation& evaluation);  // for people

}  // namespace cria
