#include "trainers/evaluation/win_rate.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "cria/core/random.h"
#include "cria/io/checksum.h"

namespace cria {

namespace {

constexpr double kNormalQuantile = 1.959963984540054;  // 97.5%

Outcome turned(Outcome outcome) {
  if (outcome == Outcome::tie) return outcome;
  return outcome == Outcome::win ? Outcome::loss : Outcome::win;
}

WinCounts& part(std::vector<WinCounts>& parts, const std::string& name) {
  auto found = std::find_if(parts.begin(), parts.end(),
                            [&](const WinCounts& counts) { return counts.name == name; });
  if (found == parts.end()) found = parts.insert(parts.end(), {.name = name});
  return *found;
}

// The parts of each field together, in the order of the fields.
std::vector<WinCounts> parts_of(std::span<const AnswerPair> pairs,
                                const std::vector<Outcome>& outcomes,
                                const std::vector<std::string>& fields) {
  std::vector<WinCounts> parts = {{.name = "all"}};
  for (const Outcome outcome : outcomes) parts.front().add(outcome);
  for (const std::string& field : fields) {
    for (size_t i = 0; i < pairs.size(); ++i) {
      const std::string value = pairs[i].first->field(field);
      if (!value.empty()) part(parts, field + " " + value).add(outcomes[i]);
    }
  }
  return parts;
}

}  // namespace

Interval wilson_interval(int64_t successes, int64_t trials) {
  CRIA_ASSERT(0 <= successes && successes <= trials);
  if (trials == 0) return {};
  const auto n = static_cast<double>(trials);
  const double p = static_cast<double>(successes) / n;
  const double z = kNormalQuantile;
  const double scale = 1 + z * z / n;
  const double centre = (p + z * z / (2 * n)) / scale;
  const double half = z / scale * std::sqrt(p * (1 - p) / n + z * z / (4 * n * n));
  // At the ends the two are the same number, rounded twice.
  return {.low = successes == 0 ? 0.0 : centre - half,
          .high = successes == trials ? 1.0 : centre + half};
}

void WinCounts::add(Outcome outcome) {
  wins += outcome == Outcome::win;
  losses += outcome == Outcome::loss;
  ties += outcome == Outcome::tie;
}

std::vector<AnswerPair> pair_answers(std::span<const EvaluatedAnswer> first,
                                     std::span<const EvaluatedAnswer> second) {
  std::vector<AnswerPair> pairs;
  for (size_t i = 0; i < std::min(first.size(), second.size()); ++i) {
    if (first[i].prompt != second[i].prompt) {
      throw input_error(second[i].where, "answers another prompt than " + first[i].where,
                        "both must answer the same prompts in the same order");
    }
    pairs.push_back({&first[i], &second[i]});
  }
  if (first.size() != second.size()) {
    const auto& longer = first.size() > second.size() ? first : second;
    throw input_error(longer[pairs.size()].where, "the other model has no answer to this prompt",
                      "both must answer the same prompts in the same order");
  }
  return pairs;
}

bool is_swapped(uint64_t seed, const nlohmann::json& prompt, uint64_t occurrence) {
  const uint64_t key = std::stoull(sha256(prompt.dump()).substr(0, 16), nullptr, 16);
  return Random(seed, Purpose::answer_order, key).below(2, occurrence) == 1;
}

WinRates judge_pairs(std::span<const AnswerPair> pairs, Judge& judge, uint64_t seed,
                     const std::vector<std::string>& fields) {
  WinRates rates;
  std::vector<Outcome> outcomes(pairs.size(), Outcome::tie);
  std::map<nlohmann::json, uint64_t> occurrences;
  std::vector<ShownPair> shown;
  std::vector<size_t> places;  // among the pairs
  std::vector<bool> swapped;
  for (size_t i = 0; i < pairs.size(); ++i) {
    const auto& [first, second] = pairs[i];
    const uint64_t occurrence = occurrences[first->prompt]++;
    if (first->completion == second->completion) {
      ++rates.same;
      continue;
    }
    swapped.push_back(is_swapped(seed, first->prompt, occurrence));
    shown.push_back(swapped.back() ? ShownPair{second, first} : ShownPair{first, second});
    places.push_back(i);
    rates.swapped += swapped.back();
  }
  const std::vector<Outcome> verdicts = judge.judge(shown);
  for (size_t i = 0; i < shown.size(); ++i) {
    outcomes[places[i]] = swapped[i] ? turned(verdicts[i]) : verdicts[i];
    rates.shown_first_won += verdicts[i] == Outcome::win;
  }
  rates.parts = parts_of(pairs, outcomes, fields);
  return rates;
}

nlohmann::ordered_json to_json(const WinRates& rates) {
  using nlohmann::ordered_json;
  ordered_json parts = ordered_json::object();
  for (const WinCounts& counts : rates.parts) {
    const Interval interval = wilson_interval(counts.wins, counts.decided());
    ordered_json& entry = parts[counts.name];
    entry = {{"wins", counts.wins}, {"losses", counts.losses}, {"ties", counts.ties}};
    entry["win_rate"] = nullptr;
    if (counts.decided() > 0) {
      entry["win_rate"] = static_cast<double>(counts.wins) / static_cast<double>(counts.decided());
    }
    entry["interval"] = {interval.low, interval.high};
  }
  return {{"parts", std::move(parts)},
          {"same_texts", rates.same},
          {"swapped", rates.swapped},
          {"shown_first_won", rates.shown_first_won}};
}

std::string table(const WinRates& rates) {
  size_t width = 0;
  for (const WinCounts& counts : rates.parts) width = std::max(width, counts.name.size());
  std::string text = fmt::format("{:{}} {:>6} {:>6} {:>6} {:>9}  {}\n", "", width, "wins", "losses",
                                 "ties", "win rate", "95% interval");
  for (const WinCounts& counts : rates.parts) {
    text += fmt::format("{:{}} {:>6} {:>6} {:>6}", counts.name, width, counts.wins, counts.losses,
                        counts.ties);
    if (counts.decided() > 0) {
      const Interval interval = wilson_interval(counts.wins, counts.decided());
      text += fmt::format(
          " {:>8.1f}%  {:.1f}% to {:.1f}%",
          100 * static_cast<double>(counts.wins) / static_cast<double>(counts.decided()),
          100 * interval.low, 100 * interval.high);
    }
    text += "\n";
  }
  return text;
}

}  // namespace cria
