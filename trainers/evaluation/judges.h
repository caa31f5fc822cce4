// Who says which of two answers is better.
#pragma once

#include <chrono>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "trainers/evaluation/reward_scorer.h"

namespace cria {

enum class Outcome { win, loss, tie };

// Two answers to one prompt as they are shown, and what is said of the one shown first.
struct ShownPair {
  const EvaluatedAnswer* a = nullptr;
  const EvaluatedAnswer* b = nullptr;
};

class Judge {
 public:
  virtual ~Judge() = default;
  // For each pair whether a wins.
  virtual std::vector<Outcome> judge(std::span<const ShownPair> pairs) = 0;
  virtual nlohmann::ordered_json description() const = 0;
};

// The answer with the higher reward; a tie where the rewards are no further apart than tie_margin.
class RewardJudge : public Judge {
 public:
  RewardJudge(RewardScorer& scorer, double tie_margin) : scorer_(scorer), tie_margin_(tie_margin) {}
  std::vector<Outcome> judge(std::span<const ShownPair> pairs) override;
  nlohmann::ordered_json description() const override;

 private:
  RewardScorer& scorer_;
  const double tie_margin_;
};

// Any program, run once by `sh -c`. Its standard input has one line of JSON for each pair,
//   {"id": 0, "prompt": string or messages, "a": string, "b": string, …}
// with the other fields of the prompt's line (category, kind, …) beside them, and its standard
// output must have one line for each, in the same order: `a`, `b` or `tie`. Its messages go where
// cria's go. A failure when it exits with anything but 0, takes longer than the timeout, or says
// anything else.
class CommandJudge : public Judge {
 public:
  CommandJudge(std::string command, std::chrono::milliseconds timeout)
      : command_(std::move(command)), timeout_(timeout) {}
  std::vector<Outcome> judge(std::span<const ShownPair> pairs) override;
  nlohmann::ordered_json description() const override;

 private:
  const std::string command_;
  const std::chrono::milliseconds timeout_;  // 0: none
};

}  // namespace cria
