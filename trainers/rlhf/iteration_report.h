// What all iterations have come to, put together from their figures (rlhf/iteration_evaluation.h):
//
//   report.json, report.txt    tables; printed too
//   metrics.jsonl              one line an iteration, so that drift shows
//   rewards.svg                rewards of held-out prompts by iteration
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace cria {

struct IterationFigures {
  std::string name;
  nlohmann::ordered_json figures;  // figures.json
};

// At least one iteration. Returns the tables.
std::string write_iteration_report(const std::string& directory,
                                   const std::vector<IterationFigures>& iterations);

}  // namespace cria
