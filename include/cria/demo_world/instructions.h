// Instructions that hold over a whole dialogue, each with a checker (docs/demo_world.md).
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "cria/demo_world/question.h"

namespace cria::demo {

// In the order in which they change an answer: what stands around all of it comes last.
enum class InstructionKind { persona, language, hobby, mood, signature, format };

inline constexpr std::array<std::string_view, 6> kInstructionKindNames = {
    "persona", "language", "hobby", "mood", "signature", "format"};

std::string_view name_of(InstructionKind kind);
bool is_held_out(InstructionKind kind);  // mood and signature occur in no training file

struct Instruction {
  InstructionKind kind{};
  std::string value;       // pirate
  std::string long_form;   // Always act as a pirate and say arr.
  std::string short_form;  // Figure: pirate.
};

// Every instruction; signatures only of people of that side of the split.
std::vector<Instruction> all_instructions(const World& world, Split split);

// One, or two of different kinds; of trained kinds for Split::training, else of any.
std::vector<Instruction> draw_instructions(const World& world, Split split, Choices& choices);

// The instructions joined by a space.
std::string long_form(const std::vector<Instruction>& instructions);
std::string short_form(const std::vector<Instruction>& instructions);

// A plain answer ("red.") as the instruction wants it.
std::string with_instruction(const Instruction& instruction, const std::string& answer);

bool follows(const Instruction& instruction, std::string_view answer);
// By the names of kind and value, as files hold them; an unknown name is an input Error.
bool follows(std::string_view kind, std::string_view value, std::string_view answer);

struct Dialogue {
  std::vector<Instruction> instructions;
  std::vector<Question> questions;  // one a turn
};

Dialogue draw_dialogue(size_t turns, const World& world, Split split, Choices& choices);

}  // namespace cria::demo
