// How often the answers of one model beat those of another.
//
// The win rate is wins / (wins + losses), ties left out, with Wilson's score interval (Wilson
// 1927): for x successes of n, p = x/n and z = 1.959964, the 97.5% quantile of the normal
// distribution,
//
//   centre = (p + z^2/(2n)) / (1 + z^2/n)
//   half   = z / (1 + z^2/n) * sqrt(p (1 - p)/n + z^2/(4 n^2))
//
// It stays within 0 and 1, and says something where all or none were won. Answers are taken to be
// independent: several samples of one prompt are not quite.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "trainers/evaluation/answers.h"
#include "trainers/evaluation/judges.h"

namespace cria {

struct Interval {
  double low = 0, high = 1;
};

// Of 95%; [0, 1] without trials.
Interval wilson_interval(int64_t successes, int64_t trials);

// Of all pairs, or of those with one value of a field.
struct WinCounts {
  std::string name;                        // all, category safety, kind recall, …
  int64_t wins = 0, losses = 0, ties = 0;  // of the first model

  int64_t decided() const { return wins + losses; }
  void add(Outcome outcome);
};

struct WinRates {
  std::vector<WinCounts> parts;  // "all" first, then by field in the order in which values appear
  int64_t same = 0;              // ties because the texts are the same: no judge saw them
  int64_t swapped = 0;           // pairs that were shown second answer first
  int64_t shown_first_won = 0;   // of the decided: far from half of them, the judge has a bias
};

// The pairs of two lists of answers to the same prompts in the same order. An input Error names the
// first two answers that do not belong together.
struct AnswerPair {
  const EvaluatedAnswer* first = nullptr;
  const EvaluatedAnswer* second = nullptr;
};
std::vector<AnswerPair> pair_answers(std::span<const EvaluatedAnswer> first,
                                     std::span<const EvaluatedAnswer> second);

// Whether the judge is shown the second answer first: a fair coin that depends on the seed, the
// prompt and how many pairs of that prompt came before.
bool is_swapped(uint64_t seed, const nlohmann::json& prompt, uint64_t occurrence);

// Judges all pairs. Parts by these fields of the first answer.
WinRates judge_pairs(std::span<const AnswerPair> pairs, Judge& judge, uint64_t seed,
                     const std::vector<std::string>& fields);

nlohmann::ordered_json to_json(const WinRates& rates);
std::string table(const WinRates& rates);  // for people

}  // namespace cria
