#include "trainers/rlhf/ratings.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cria/core/child_process.h"
#include "cria/text/utf8.h"

#include "trainers/signals.h"

namespace cria {

namespace {

using nlohmann::json;

// One of a few words.
template <size_t N>
size_t word_of(const json& line, const char* field, const std::string_view (&words)[N],
               const std::string& where) {
  const auto value = line.find(field);
  const std::string remedy = fmt::format("one of {}", fmt::join(words, ", "));
  if (value == line.end()) {
    throw input_error(where, fmt::format("field '{}' is missing", field), remedy);
  }
  const auto word = value->is_string() ? std::find(std::begin(words), std::end(words),
                                                   value->get_ref<const std::string&>())
                                       : std::end(words);
  if (word == std::end(words)) {
    throw input_error(where, fmt::format("field '{}' is {}", field, value->dump()), remedy);
  }
  return static_cast<size_t>(word - std::begin(words));
}

std::optional<bool> truth_of(const json& line, const char* field, const std::string& where) {
  const auto value = line.find(field);
  if (value == line.end() || value->is_null()) return std::nullopt;
  if (!value->is_boolean()) {
    throw input_error(where, fmt::format("field '{}' is {}", field, value->dump()),
                      "true or false");
  }
  return value->get<bool>();
}

PairRating parse_rating(const json& line, int64_t pair, const std::string& where) {
  constexpr std::string_view kAnswers[] = {"first", "second"};
  if (!line.is_object()) throw input_error(where, "the line is no JSON object");
  const auto number = line.find("pair");
  if (number == line.end() || *number != pair) {
    throw input_error(
        where,
        fmt::format("the rating of pair {} should stand here, not that of {}", pair,
                    number == line.end() ? "one without a field 'pair'" : number->dump()),
        "give one rating for each pair, in their order");
  }
  return {.first_is_better = word_of(line, "better", kAnswers, where) == 0,
          .rating = static_cast<Rating>(word_of(line, "rating", kRatingNames, where)),
          .first_safe = truth_of(line, "first_safe", where),
          .second_safe = truth_of(line, "second_safe", where)};
}

}  // namespace

std::vector<PairRating> parse_ratings(const std::string& text, std::span<const int64_t> pairs,
                                      const std::string& where, const std::string& remedy) {
  std::vector<PairRating> ratings;
  std::istringstream lines(text);
  int64_t line_number = 0;
  size_t count = 0;
  for (std::string line; std::getline(lines, line);) {
    ++line_number;
    if (strip(line).empty()) continue;
    if (count++ >= pairs.size()) continue;
    const std::string place = fmt::format("{}:{}", where, line_number);
    ratings.push_back(parse_rating(parse_json_line(line, place), pairs[ratings.size()], place));
  }
  if (count != pairs.size()) {
    throw input_error(where, fmt::format("{} ratings of {} pairs", count, pairs.size()), remedy);
  }
  return ratings;
}

std::string rate_by_command(const std::string& command, const std::string& pairs) {
  const ChildResult result =
      run_child({"/bin/sh", "-c", command}, {.input = pairs, .capture_errors = false});
  if (stop_signal() != 0) return {};
  if (result.exit_code != 0) {
    throw failure("preferences.rating_command",
                  fmt::format("'{}' ended with exit code {}", command, result.exit_code),
                  "its own messages stand above; the same command of cria goes on from here");
  }
  return result.output;
}

}  // namespace cria
