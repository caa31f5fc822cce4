#include "trainers/evaluation/judges.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cria/core/child_process.h"
#include "cria/text/utf8.h"

namespace cria {

namespace {

std::string line_for(const ShownPair& pair, size_t id) {
  nlohmann::json line = pair.a->fields;
  for (const char* of_one_answer : {"completion", "sample", "finished_by_eos", "temperature"}) {
    line.erase(of_one_answer);
  }
  line.update({{"id", id},
               {"prompt", pair.a->prompt},
               {"a", pair.a->completion},
               {"b", pair.b->completion}});
  return line.dump() + "\n";
}

Outcome outcome_of(std::string_view verdict, const std::string& where) {
  if (verdict == "a") return Outcome::win;
  if (verdict == "b") return Outcome::loss;
  if (verdict == "tie") return Outcome::tie;
  throw failure(where, fmt::format("'{}' is no verdict", verdict.substr(0, 80)), "a, b or tie");
}

}  // namespace

std::vector<Outcome> RewardJudge::judge(std::span<const ShownPair> pairs) {
  std::vector<Answer> answers;
  for (const ShownPair& pair : pairs) {
    answers.push_back(scorer_.sequence_of(*pair.a));
    answers.push_back(scorer_.sequence_of(*pair.b));
  }
  const std::vector<AnswerScore> scores = scorer_.score(answers);
  std::vector<Outcome> outcomes;
  for (size_t i = 0; i < pairs.size(); ++i) {
    const double gap = double{scores[2 * i].combined} - double{scores[2 * i + 1].combined};
    if (std::abs(gap) <= tie_margin_) {
      outcomes.push_back(Outcome::tie);
    } else {
      outcomes.push_back(gap > 0 ? Outcome::win : Outcome::loss);
    }
  }
  return outcomes;
}

nlohmann::ordered_json RewardJudge::description() const {
  nlohmann::ordered_json description = scorer_.description();
  description["tie_margin"] = tie_margin_;
  return description;
}

std::vector<Outcome> CommandJudge::judge(std::span<const ShownPair> pairs) {
  if (pairs.empty()) return {};
  std::string input;
  for (size_t i = 0; i < pairs.size(); ++i) input += line_for(pairs[i], i);
  const ChildResult result =
      run_child({"sh", "-c", command_},
                {.input = std::move(input), .capture_errors = false, .timeout = timeout_});
  const std::string where = "judge `" + command_ + "`";
  if (result.timed_out) {
    throw failure(
        where,
        fmt::format("took longer than {} s", std::chrono::duration<double>(timeout_).count()),
        "raise --judge-timeout");
  }
  if (result.exit_code != 0) {
    throw failure(where, fmt::format("exit code {}", result.exit_code));
  }
  std::vector<Outcome> outcomes;
  std::istringstream lines(result.output);
  for (std::string line; std::getline(lines, line);) {
    const std::string place = fmt::format("{}, line {}", where, outcomes.size() + 1);
    outcomes.push_back(outcome_of(strip(line), place));
  }
  if (outcomes.size() != pairs.size()) {
    throw failure(where, fmt::format("{} verdicts for {} pairs", outcomes.size(), pairs.size()),
                  "it must print one line for each line that it reads");
  }
  return outcomes;
}

nlohmann::ordered_json CommandJudge::description() const { return {{"command", command_}}; }

}  // namespace cria
