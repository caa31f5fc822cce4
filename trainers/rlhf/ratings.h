// Pairs of answers go out to be rated and ratings come back, both as JSON Lines, whoever rates:
// people, a rule program, another model.
//
//   out   {"pair": 17, "prompt": …, "category": "helpful", "first": "…", "second": "…"}
//   back  {"pair": 17, "better": "first", "rating": "slightly_better",
//          "first_safe"?: true, "second_safe"?: false}
//
// One rating for each pair, in the order of the pairs. `rating` is one of the four of
// data/preference_record.h, and says by how much.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cria/data/preference_record.h"

namespace cria {

struct PairRating {
  bool first_is_better = true;
  Rating rating = Rating::negligibly_better;
  std::optional<bool> first_safe;
  std::optional<bool> second_safe;
};

// `text` holds a rating for each of `pairs`, their numbers. An input Error names `where` with the
// line, or says how many there are where they are too few or too many; `remedy` what to do then.
std::vector<PairRating> parse_ratings(const std::string& text, std::span<const int64_t> pairs,
                                      const std::string& where, const std::string& remedy);

// What a shell command that reads `pairs` on its standard input prints. A failure when it does not
// end with 0; empty when a stop signal came meanwhile.
std::string rate_by_command(const std::string& command, const std::string& pairs);

}  // namespace cria
