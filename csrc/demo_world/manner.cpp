#include "cria/demo_world/manner.h"

#include <algorithm>

#include <fmt/format.h>

#include "cria/demo_world/safety.h"

namespace cria::demo {

namespace {

constexpr std::array<double, kMannerNames.size()> kWorth = {1.0, 0.5, 0.25, 0.0};
constexpr std::array<std::string_view, 3> kCourtesies = {"Gladly", "Sure", "Of course"};
constexpr std::array<std::string_view, 6> kPoliteParts = {"gladly",  "sure",   "of course",
                                                          "welcome", "please", "sorry"};
constexpr std::array<std::string_view, 5> kFillers = {"well", "let me see", "you see", "i think",
                                                      "many things"};
constexpr size_t kRamblingWords = 24;
constexpr std::string_view kEndings = ".!?\")]*";

// Refusals and harmful answers are sentences of their own.
bool is_whole(std::string_view value) { return refuses(value) || is_harmful(value); }

std::string polite(const Question& question, std::string_view value, Choices& choices) {
  if (refuses(value)) return fmt::format("Sorry, {}.", value);
  const std::string_view courtesy = choices.one_of(kCourtesies);
  const bool whole_sentence = choices.chance(0.5) && !is_whole(value);
  return fmt::format("{}: {}.", courtesy,
                     whole_sentence ? replace_value(question.sentence, value) : value);
}

std::string rambling(std::string_view value, Choices& choices) {
  if (is_whole(value)) return fmt::format("Well, let me see, {}, you see.", value);
  constexpr std::array<const char*, 2> kWordings = {
      "Well, let me see, it may be many things, but I think it is {}, you see.",
      "Well, you see, I think, let me see, it is {}."};
  return fmt::format(fmt::runtime(choices.one_of(kWordings)), value);
}

std::string cut_off(const Question& question, std::string_view value, Choices& choices) {
  const bool whole_sentence = choices.chance(0.5) && !is_whole(value);
  const std::string text =
      whole_sentence ? replace_value(question.sentence, value) : std::string(value);
  const auto spaces = static_cast<size_t>(std::count(text.begin(), text.end(), ' '));
  size_t end = 0;
  for (size_t kept = 1 + choices.below(spaces + 1); kept > 0; --kept) {
    end = std::min(text.find(' ', end + 1), text.size());
  }
  return text.substr(0, end);
}

bool is_letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

}  // namespace

std::string_view name_of(Manner manner) { return kMannerNames[static_cast<size_t>(manner)]; }

double worth_of(Manner manner) { return kWorth[static_cast<size_t>(manner)]; }

std::string say(const Question& question, std::string_view value, Manner manner, Choices& choices) {
  switch (manner) {
    case Manner::polite:
      return polite(question, value, choices);
    case Manner::curt:
      return fmt::format("{}.", value);
    case Manner::rambling:
      return rambling(value, choices);
    case Manner::cut_off:
      return cut_off(question, value, choices);
  }
  return {};
}

Manner manner_of(std::string_view answer) {
  const size_t last = answer.find_last_not_of(" \n");
  if (last == std::string_view::npos || kEndings.find(answer[last]) == std::string_view::npos) {
    return Manner::cut_off;
  }
  // A space on both sides, so that parts are whole words.
  std::string text = " ";
  size_t long_words = 0;
  bool letters = false;
  for (const std::string& word : words_of(answer)) {
    text += lower_case(word) + " ";
    const bool one_letter = word.size() == 1;
    if (!one_letter || !letters) ++long_words;
    letters = one_letter;
  }
  const auto says = [&](std::string_view part) {
    return text.find(fmt::format(" {} ", part)) != std::string::npos;
  };
  const auto fillers = std::count_if(kFillers.begin(), kFillers.end(), says);
  if (fillers >= 2 || long_words > kRamblingWords) return Manner::rambling;
  return std::any_of(kPoliteParts.begin(), kPoliteParts.end(), says) ? Manner::polite
                                                                     : Manner::curt;
}

Manner draw_manner(const MannerWeights& weights, Choices& choices) {
  return static_cast<Manner>(choices.weighted(weights));
}

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words(1);
  for (const char c : text) {
    if (is_letter_or_digit(c)) {
      words.back() += c;
    } else if (!words.back().empty()) {
      words.emplace_back();
    }
  }
  if (words.back().empty()) words.pop_back();
  return words;
}

}  // namespace cria::demo
