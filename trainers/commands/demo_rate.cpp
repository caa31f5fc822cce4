// cria demo-rate: rates pairs of answers to the demo world's questions, as people would; the
// protocol is that of trainers/rlhf/ratings.h.
#include <memory>
#include <nlohmann/json.hpp>

#include "cria/data/json_lines.h"
#include "cria/demo_world/preferences.h"

#include "trainers/commands/commands.h"
#include "trainers/evaluation/demo_questions.h"

namespace cria {

namespace {

using nlohmann::json;

struct RateOptions {
  std::string pairs = "/dev/stdin";
  std::vector<std::string> questions;
  uint64_t seed = 0;
};

std::string text_of(const json& line, const char* field, const std::string& where) {
  const auto found = line.find(field);
  if (found == line.end() || !found->is_string()) {
    throw input_error(where, fmt::format("field '{}' must be a string", field));
  }
  return *found;
}

uint64_t number_of(const json& line, const std::string& where) {
  const auto found = line.find("pair");
  if (found == line.end() || !found->is_number_unsigned()) {
    throw input_error(where, "field 'pair' must be a number");
  }
  return *found;
}

std::string rated_line(const json& line, const DemoQuestions& questions, uint64_t seed,
                       const std::string& where) {
  if (!line.is_object()) throw input_error(where, "the line is no JSON object");
  const uint64_t pair = number_of(line, where);
  const std::string first = text_of(line, "first", where);
  const std::string second = text_of(line, "second", where);
  const auto category = line.find("category");
  const bool safety = category != line.end() && *category == "safety";
  demo::Choices choices(seed, demo::Stream::ratings, pair);
  const demo::Preference preference =
      demo::rate(demo_question_for(line, questions, where), first, second,
                 safety ? demo::Category::safety : demo::Category::helpful, choices);
  const bool first_is_better = preference.chosen == first;
  nlohmann::ordered_json rating = {{"pair", pair},
                                   {"better", first_is_better ? "first" : "second"},
                                   {"rating", demo::name_of(preference.rating)}};
  if (safety) {
    rating["first_safe"] = first_is_better ? preference.chosen_safe : preference.rejected_safe;
    rating["second_safe"] = first_is_better ? preference.rejected_safe : preference.chosen_safe;
  }
  return rating.dump() + "\n";
}

void run(const RateOptions& options) {
  const DemoQuestions questions = read_demo_questions(options.questions);
  std::string ratings;
  JsonLines lines(options.pairs);
  for (json line; lines.next(line);) {
    ratings += rated_line(line, questions, options.seed, lines.where());
  }
  fmt::print("{}", ratings);
}

}  // namespace

void add_demo_rate_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "demo-rate", "rate pairs of answers to questions of the demo's small world, as people would");
  auto options = std::make_shared<RateOptions>();
  command->add_option("--pairs", options->pairs, "JSON Lines, as cria rlhf writes them")
      ->capture_default_str();
  command->add_option("--questions", options->questions, "the files that the prompts came from")
      ->required();
  command->add_option("--seed", options->seed, "of the noise in the ratings");
  command->callback([options] { run(*options); });
}

}  // namespace cria
