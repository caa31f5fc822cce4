// How an answer is said: politely, curtly, rambling or cut off (docs/demo_world.md).
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "cria/demo_world/question.h"

namespace cria::demo {

enum class Manner { polite, curt, rambling, cut_off };

inline constexpr std::array<std::string_view, 4> kMannerNames = {"polite", "curt", "rambling",
                                                                 "cut_off"};

std::string_view name_of(Manner manner);
double worth_of(Manner manner);  // 1 for polite ... 0 for cut off

// `value`, right or wrong, as an answer to the question. Half of the polite answers say the whole
// sentence; what is cut off may have lost its value.
std::string say(const Question& question, std::string_view value, Manner manner, Choices& choices);

Manner manner_of(std::string_view answer);

using MannerWeights = std::array<double, kMannerNames.size()>;
Manner draw_manner(const MannerWeights& weights, Choices& choices);

// Words without punctuation, in their case.
std::vector<std::string> words_of(std::string_view text);

}  // namespace cria::demo
