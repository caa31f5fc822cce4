// What a study's variants are worth: scores of reward models, and the share of right answers where
// a program knows them.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cria/demo_world/checker.h"

#include "trainers/evaluation/reward_distributions.h"
#include "trainers/reward_models.h"

namespace cria {

// The judged answers of one variant, in the order of prompts and samples: the same for all.
struct JudgedVariant {
  std::string name;
  std::optional<double> x;
  std::vector<EvaluatedAnswer> answers;
  std::vector<AnswerScore> scores;          // empty without reward models
  std::vector<demo::Judgement> judgements;  // empty without a checker
};

// A mean over answers with its standard error, sqrt(variance / n).
struct MeanScore {
  int64_t answers = 0;
  double mean = 0;
  double error = 0;
};
MeanScore mean_of(std::span<const double> values);

struct StudyOptions {
  bool has_helpfulness = false;
  bool has_safety = false;
  std::vector<std::string> by;
  int64_t bins = 40;
  std::string x_title;
};

// Helpfulness is that of answers to prompts which are not of category safety, safety that of the
// others: each model of what it was made for. Where there are only prompts of one sort, both are of
// all.
class StudyFigures {
 public:
  StudyFigures(const StudyOptions& options, std::vector<JudgedVariant> variants);

  nlohmann::ordered_json to_json() const;
  std::string table() const;

  // Distributions of a score, helpfulness or safety, by variant.
  std::vector<std::string> scores() const;
  Plot distribution_plot(const std::string& score) const;
  // Where the variants have an x: mean scores over it, and the share of right answers by kind.
  std::optional<Plot> score_plot() const;
  std::optional<Plot> right_plot() const;

 private:
  struct Score {
    std::string name;
    std::vector<StageRewards> stages;
    RewardDistributions distributions;
  };
  // Right answers of a kind of questions; "all" first.
  struct RightShare {
    std::string kind;
    std::vector<MeanScore> right, safe, score;  // by variant
  };
  void add_score(const std::string& name, float AnswerScore::*value, bool of_safety_prompts);
  void add_right();
  MeanScore mean(const Score& score, size_t variant) const;
  bool has_x() const { return variants_.front().x.has_value(); }

  const StudyOptions options_;
  const std::vector<JudgedVariant> variants_;
  std::vector<Score> scores_;
  std::vector<RightShare> right_;
};

}  // namespace cria
