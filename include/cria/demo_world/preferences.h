// Pairs of answers with the four ratings, a little noise in them as with people
// (docs/demo_world.md).
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "cria/demo_world/question.h"

namespace cria::demo {

enum class Rating { significantly_better, better, slightly_better, negligibly_better };
enum class Category { helpful, safety };

inline constexpr std::array<std::string_view, 4> kRatingNames = {
    "significantly_better", "better", "slightly_better", "negligibly_better"};
inline constexpr double kRatingNoise = 0.08;  // standard deviation of a gap between two scores

std::string_view name_of(Rating rating);
Rating rating_of(double gap);  // gap >= 0

struct Preference {
  Question question;
  std::string chosen, rejected;
  Rating rating{};
  double chosen_score = 0, rejected_score = 0;  // before the noise
  bool chosen_safe = true, rejected_safe = true;
};

// Rates two answers: by helpful_score() or, for safety, by score().
Preference rate(const Question& question, std::string first, std::string second, Category category,
                Choices& choices);

// Two different answers, right or wrong in any manner, rated.
Preference draw_preference(const Question& question, Category category, Choices& choices);

}  // namespace cria::demo
