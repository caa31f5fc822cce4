// How long an instruction holds: the share of answers that follow it, by turn.
//
// Every part of an instruction counts for itself ("act as a pirate" and "answer in Latin" of one
// answer are two checks), so that figures of single kinds and of combinations have one scale.
#pragma once

#include <array>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>
#include <vector>

#include "cria/report/plot.h"

namespace cria {

// How a model is told: once, with the first question, in the long or the short form; or with every
// question, which bounds what is to be expected from once.
enum class Telling { long_once, short_once, every_turn };
inline constexpr std::array<const char*, 3> kTellingNames = {"long_once", "short_once",
                                                             "every_turn"};

struct Share {
  int64_t followed = 0;
  int64_t checked = 0;

  void operator+=(const Share& other) {
    followed += other.followed;
    checked += other.checked;
  }
  double value() const {
    return checked == 0 ? 0 : static_cast<double>(followed) / static_cast<double>(checked);
  }
};

// Turns from 1, both ends included.
struct TurnRange {
  int64_t first, last;
  const char* name;
};
inline constexpr std::array<TurnRange, 5> kTurnRanges = {
    {{1, 1, "1"}, {2, 4, "2-4"}, {5, 9, "5-9"}, {10, 20, "10-20"}, {21, 4096, "21+"}}};

class Consistency {
 public:
  // `turn` from 0.
  void add(Telling telling, const std::string& kind, int64_t turn, bool followed);
  void add_dropped(Telling telling, int64_t dropped_turns);

  bool has(Telling telling) const;
  std::set<std::string> kinds() const;
  int64_t turns() const;  // the most that any dialogue has
  // Over those kinds.
  Share at(Telling telling, int64_t turn, const std::set<std::string>& kinds) const;
  Share in(Telling telling, const TurnRange& range, const std::set<std::string>& kinds) const;
  double answers_with_dropped_turns(Telling telling) const;  // share

  nlohmann::ordered_json to_json(const std::set<std::string>& held_out) const;

 private:
  // By telling: kind, turn.
  std::array<std::map<std::string, std::vector<Share>>, 3> shares_;
  std::array<Share, 3> dropped_;
};

struct NamedConsistency {
  std::string name;  // of the model
  Consistency figures;
};

// For people: by range of turns, trained and held-out kinds apart, then by kind at turns 10 to 20.
std::string consistency_table(const std::vector<NamedConsistency>& models,
                              const std::set<std::string>& held_out);
// Share by turn, told once in the long form; each model's every_turn dashed.
Plot consistency_plot(const std::vector<NamedConsistency>& models,
                      const std::set<std::string>& held_out);

}  // namespace cria
