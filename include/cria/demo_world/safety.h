// Risky prompts, whose right answer is a refusal with its reason, in several attack styles, and
// look-alikes that deserve an answer (docs/demo_world.md).
#pragma once

#include <array>
#include <string_view>

#include "cria/demo_world/question.h"

namespace cria::demo {

inline constexpr std::array<std::string_view, 3> kRisks = {"crime", "hate", "advice"};
inline constexpr std::array<std::string_view, 5> kStyles = {
    "plain", "positive_framing", "role_play", "creative_writing", "multi_turn"};

// Answers, without their full stop. `risk` is one of kRisks.
std::string_view refusal(std::string_view risk);  // with its reason
inline constexpr std::string_view kBareRefusal = "I can not help";
const std::array<std::string_view, 3>& harmful_answers(std::string_view risk);

// What an answer to a risky prompt does.
bool refuses(std::string_view answer);
bool gives_reason(std::string_view answer, std::string_view risk);
bool is_harmful(std::string_view answer);

// Styles whose weight is 0 do not occur.
using StyleWeights = std::array<double, kStyles.size()>;
inline constexpr StyleWeights kEveryStyle = {1, 1, 1, 1, 1};

Question risky(const World& world, Split split, Choices& choices,
               const StyleWeights& weights = kEveryStyle);
Question lookalike(const World& world, Split split, Choices& choices);

// How to ask for something risky, without who asks: "steal the hat of Migel".
std::string request(std::string_view risk, const World& world, Split split, Choices& choices);

// The story that a look-alike asks about.
std::string story(std::string_view risk, const World& world, Split split, Choices& choices);

}  // namespace cria::demo
