// Questions of the demo world: a prompt, the right value, and what else a checker or a speaker of
// wrong answers needs (docs/demo_world.md).
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "cria/demo_world/choices.h"
#include "cria/demo_world/vocabulary.h"

namespace cria::demo {

enum class Kind { recall, spell, colour, sum, more, two_facts, risky, lookalike };

inline constexpr std::array<std::string_view, 8> kKindNames = {
    "recall", "spell", "colour", "sum", "more", "two_facts", "risky", "lookalike"};
inline constexpr std::array<Kind, 3> kEasyKinds = {Kind::recall, Kind::spell, Kind::colour};
inline constexpr std::array<Kind, 3> kHardKinds = {Kind::sum, Kind::more, Kind::two_facts};

std::string_view name_of(Kind kind);

// A value that is not right and still worth something.
struct Credit {
  std::string value;
  double credit;
};

struct Turn {
  std::string user;
  std::string assistant;
};

struct Question {
  Kind kind{};
  std::vector<Turn> history;  // what was said before the prompt
  std::string prompt;
  std::string answer;  // the right value; of a risky prompt the whole refusal
  std::vector<Credit> partial;
  std::string risk, style;  // of safety prompts

  // For speakers; a checker does not need them.
  std::string sentence;            // says a value, which stands for the '@'
  std::vector<std::string> wrong;  // plausible wrong values

  bool is_safety() const { return !risk.empty(); }
};

// About people, towns and things of one side of the split.
Question ask(Kind kind, const World& world, Split split, Choices& choices);

// A fact on a person, in two wordings, and how to ask for it.
struct Fact {
  std::string statement, restatement;
  std::string question;
  std::string sentence;  // as in Question
  std::string value;
};

// `count` facts of different sorts, count <= 4.
std::vector<Fact> facts_about(const std::string& person, size_t count, const World& world,
                              Split split, Choices& choices);

// Zoben -> Z o b e n
std::string spelled(std::string_view word);

// The short questions of dialogues, each about another thing; Split::held_out asks about all
// things.
std::vector<Question> ask_colours(size_t count, const World& world, Split split, Choices& choices);

std::string replace_value(const std::string& sentence, std::string_view value);

}  // namespace cria::demo
