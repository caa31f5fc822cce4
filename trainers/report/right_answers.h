// The shares of right answers that `cria demo-check` found, stage by stage.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "trainers/report/page.h"
#include "trainers/report/run_files.h"

namespace cria {

struct RightAnswers {
  std::string kind;  // of questions; "all" last
  double share = 0;
  double answers = 0;
};

struct StageAnswers {
  std::string stage;
  std::vector<RightAnswers> kinds;
};

// The stages that were asked alike.
struct StageSet {
  std::string title;  // temperature 0
  std::vector<StageAnswers> stages;
};

std::vector<StageSet> right_answers(const RunFiles& files);

// In percent with the standard error, a row for each kind and a column for each stage.
Table right_answer_table(const StageSet& set);

}  // namespace cria
