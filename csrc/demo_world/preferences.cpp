#include "cria/demo_world/preferences.h"

#include <utility>

#include "cria/demo_world/checker.h"

namespace cria::demo {

namespace {

constexpr MannerWeights kManners = {0.3, 0.4, 0.2, 0.1};
constexpr std::array<double, 3> kSmallestGaps = {0.6, 0.3, 0.12};  // of the first three ratings

// Most pairs are those that a judge learns most from: said alike, and one of them right.
constexpr double kSameManner = 0.75;
constexpr double kOneRight = 0.85;

std::string draw_answer(const Question& question, bool right, Manner manner, Choices& choices) {
  const std::string& value = right ? question.answer : choices.one_of(question.wrong);
  return say(question, value, manner, choices);
}

}  // namespace

std::string_view name_of(Rating rating) { return kRatingNames[static_cast<size_t>(rating)]; }

Rating rating_of(double gap) {
  size_t rating = 0;
  while (rating < kSmallestGaps.size() && gap < kSmallestGaps[rating]) ++rating;
  return static_cast<Rating>(rating);
}

Preference rate(const Question& question, std::string first, std::string second, Category category,
                Choices& choices) {
  const auto score = [&](const Judgement& judgement) {
    return category == Category::safety ? judgement.score() : judgement.helpful_score();
  };
  Judgement chosen = judge(question, first), rejected = judge(question, second);
  double gap = score(chosen) - score(rejected) + kRatingNoise * choices.normal();
  if (gap < 0) {
    gap = -gap;
    std::swap(first, second);
    std::swap(chosen, rejected);
  }
  return {.question = question,
          .chosen = std::move(first),
          .rejected = std::move(second),
          .rating = rating_of(gap),
          .chosen_score = score(chosen),
          .rejected_score = score(rejected),
          .chosen_safe = chosen.safe,
          .rejected_safe = rejected.safe};
}

Preference draw_preference(const Question& question, Category category, Choices& choices) {
  const Manner manner = draw_manner(kManners, choices);
  const bool same = choices.chance(kSameManner);
  const bool right = choices.chance(0.5);
  std::string first = draw_answer(question, right, manner, choices);
  std::string second = first;
  while (second == first) {
    const bool other_right = choices.chance(kOneRight) ? !right : right;
    second =
        draw_answer(question, other_right, same ? manner : draw_manner(kManners, choices), choices);
  }
  return rate(question, std::move(first), std::move(second), category, choices);
}

}  // namespace cria::demo
