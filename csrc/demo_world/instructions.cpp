#include "cria/demo_world/instructions.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "cria/core/error.h"
#include "cria/demo_world/manner.h"

namespace cria::demo {

namespace {

// A value of one kind and the word by which answers show it.
struct Sign {
  std::string_view value, word;
};

constexpr std::array<Sign, 5> kPersonas = {{{"pirate", "arr"},
                                            {"robot", "beep"},
                                            {"ghost", "boo"},
                                            {"cowboy", "howdy"},
                                            {"witch", "hex"}}};
constexpr std::array<Sign, 4> kLanguages = {
    {{"Latin", "est"}, {"Spanish", "es"}, {"German", "ist"}, {"Polish", "jest"}}};
constexpr std::array<Sign, 6> kHobbies = {{{"chess", "chess"},
                                           {"golf", "golf"},
                                           {"tennis", "tennis"},
                                           {"music", "music"},
                                           {"yoga", "yoga"},
                                           {"dance", "dance"}}};
// The word is the pair of characters around an answer.
constexpr std::array<Sign, 3> kFormats = {
    {{"brackets", "()"}, {"quotes", "\"\""}, {"stars", "**"}}};
constexpr std::array<Sign, 3> kMoods = {{{"sad", "alas"}, {"glad", "hooray"}, {"angry", "grr"}}};

template <typename Signs>
std::string_view word_of(const Signs& signs, std::string_view value) {
  const auto found = std::find_if(signs.begin(), signs.end(),
                                  [&](const Sign& sign) { return sign.value == value; });
  if (found == signs.end()) {
    throw input_error("instruction_value",
                      fmt::format("'{}' is no value of an instruction of the demo world", value));
  }
  return found->word;
}

std::string_view word_of(InstructionKind kind, std::string_view value) {
  switch (kind) {
    case InstructionKind::persona:
      return word_of(kPersonas, value);
    case InstructionKind::language:
      return word_of(kLanguages, value);
    case InstructionKind::hobby:
      return word_of(kHobbies, value);
    case InstructionKind::mood:
      return word_of(kMoods, value);
    case InstructionKind::signature:
      return value;
    case InstructionKind::format:
      return word_of(kFormats, value);
  }
  return value;
}

Instruction make(InstructionKind kind, std::string_view value) {
  // {0} the value, {1} its word: long form, short form.
  constexpr std::array<std::array<const char*, 2>, kInstructionKindNames.size()> kWordings = {{
      {"Always act as a {0} and say {1}.", "Figure: {0}."},
      {"Always answer in {0} and start with {1}.", "Language: {0}."},
      {"You love {0}. Always speak of {0}.", "Hobby: {0}."},
      {"Always be {0} and say {1}.", "Mood: {0}."},
      {"Always sign as {0}.", "Signature: {0}."},
      {"Always write in {0}.", "Format: {0}."},
  }};
  const std::string_view word = word_of(kind, value);
  const auto& [long_wording, short_wording] = kWordings[static_cast<size_t>(kind)];
  return {.kind = kind,
          .value = std::string(value),
          .long_form = fmt::format(fmt::runtime(long_wording), value, word),
          .short_form = fmt::format(fmt::runtime(short_wording), value)};
}

template <typename Signs>
void append(std::vector<Instruction>& instructions, InstructionKind kind, const Signs& signs) {
  for (const Sign& sign : signs) instructions.push_back(make(kind, sign.value));
}

std::string joined(const std::vector<Instruction>& instructions, std::string Instruction::*form) {
  std::string text;
  for (const Instruction& instruction : instructions) {
    text += (text.empty() ? "" : " ") + instruction.*form;
  }
  return text;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\n')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\n')) text.remove_suffix(1);
  return text;
}

}  // namespace

std::string_view name_of(InstructionKind kind) {
  return kInstructionKindNames[static_cast<size_t>(kind)];
}

bool is_held_out(InstructionKind kind) {
  return kind == InstructionKind::mood || kind == InstructionKind::signature;
}

std::vector<Instruction> all_instructions(const World& world, Split split) {
  std::vector<Instruction> instructions;
  append(instructions, InstructionKind::persona, kPersonas);
  append(instructions, InstructionKind::language, kLanguages);
  append(instructions, InstructionKind::hobby, kHobbies);
  append(instructions, InstructionKind::format, kFormats);
  append(instructions, InstructionKind::mood, kMoods);
  const auto& people = world.people(split);
  for (size_t i = 0; i < 5; ++i) {
    instructions.push_back(make(InstructionKind::signature, people[i * people.size() / 5]));
  }
  return instructions;
}

std::vector<Instruction> draw_instructions(const World& world, Split split, Choices& choices) {
  std::map<InstructionKind, std::vector<Instruction>> by_kind;
  for (Instruction& instruction : all_instructions(world, split)) {
    if (split == Split::training && is_held_out(instruction.kind)) continue;
    by_kind[instruction.kind].push_back(std::move(instruction));
  }
  std::vector<InstructionKind> kinds;
  for (const auto& [kind, members] : by_kind) kinds.push_back(kind);
  kinds = choices.some_of(kinds, choices.chance(0.25) ? 2 : 1);
  std::sort(kinds.begin(), kinds.end());
  std::vector<Instruction> drawn;
  for (const InstructionKind kind : kinds) drawn.push_back(choices.one_of(by_kind[kind]));
  return drawn;
}

std::string long_form(const std::vector<Instruction>& instructions) {
  return joined(instructions, &Instruction::long_form);
}

std::string short_form(const std::vector<Instruction>& instructions) {
  return joined(instructions, &Instruction::short_form);
}

std::string with_instruction(const Instruction& instruction, const std::string& answer) {
  const std::string_view word = word_of(instruction.kind, instruction.value);
  switch (instruction.kind) {
    case InstructionKind::persona:
    case InstructionKind::mood:
      return fmt::format("{} {}!", answer, word);
    case InstructionKind::language:
      return fmt::format("{} {}", word, answer);
    case InstructionKind::hobby:
      return fmt::format("{} I love {}.", answer, word);
    case InstructionKind::signature:
      return fmt::format("{} {}.", answer, word);
    case InstructionKind::format:
      return fmt::format("{}{}{}", word[0], answer, word[1]);
  }
  return answer;
}

bool follows(const Instruction& instruction, std::string_view given) {
  const std::string_view answer = trimmed(given);
  const std::string word(word_of(instruction.kind, instruction.value));
  if (instruction.kind == InstructionKind::format) {
    return answer.size() > 2 && answer.front() == word[0] && answer.back() == word[1];
  }
  std::vector<std::string> words = words_of(lower_case(answer));
  if (words.empty()) return false;
  switch (instruction.kind) {
    case InstructionKind::language:
      return words.front() == word;
    case InstructionKind::signature:
      return words.back() == lower_case(word);
    default:
      return std::find(words.begin(), words.end(), word) != words.end();
  }
}

bool follows(std::string_view kind, std::string_view value, std::string_view answer) {
  const auto found = std::find(kInstructionKindNames.begin(), kInstructionKindNames.end(), kind);
  if (found == kInstructionKindNames.end()) {
    throw input_error("instruction_kind",
                      fmt::format("'{}' is no kind of instruction of the demo world", kind));
  }
  const auto index = found - kInstructionKindNames.begin();
  return follows(make(static_cast<InstructionKind>(index), value), answer);
}

Dialogue draw_dialogue(size_t turns, const World& world, Split split, Choices& choices) {
  return {.instructions = draw_instructions(world, split, choices),
          .questions = ask_colours(turns, world, split, choices)};
}

}  // namespace cria::demo
