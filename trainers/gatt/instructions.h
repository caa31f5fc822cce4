// Instructions to hold to: values from lists, put into long and short forms, combined at random.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "trainers/gatt/gatt_config.h"

namespace cria {

struct GattInstruction {
  std::string long_form;
  std::string short_form;           // empty: none
  std::vector<std::string> kinds;   // of which it is made, where that is known
  std::vector<std::string> values;  // one for each kind
};

std::string to_line(const GattInstruction& instruction);
// {"instruction", "short"?, "instruction_kind"?, "instruction_value"?}, the last two strings or
// lists of them.
GattInstruction parse_instruction(const nlohmann::json& line, const std::string& where);
// Every line that is not "held_out": true. An input Error when there is none.
std::vector<GattInstruction> read_instructions(const std::vector<std::string>& paths);

// The entries of a list that a model wrote: a line each, or of a single line what commas part.
// Bullets, numbers, quotes and full stops around an entry are taken off. Left out are lines that
// end in a colon, entries of more than `max_words` words, and, unless the list is complete, the
// last entry.
std::vector<std::string> parse_list(std::string_view text, bool complete, int64_t max_words);

// The entries that stand in at least `min_count` of the lists, each once (case does not matter, the
// first spelling stays), in the order in which they first come.
std::vector<std::string> merge_lists(const std::vector<std::vector<std::string>>& lists,
                                     int64_t min_count);

// One instruction for each value of a kind.
std::vector<GattInstruction> fill_forms(const ListedKind& kind,
                                        const std::vector<std::string>& values);

// `count` draws: one of `simple`, and with probability combine_share one more whose kinds it has
// not, and again. Draw i is a function of the seed and i.
std::vector<GattInstruction> combine(const std::vector<GattInstruction>& simple, int64_t count,
                                     double combine_share, uint64_t seed);

// Whether the demo world's checker finds that the answer follows each of its parts; parts of kinds
// that it does not know are an input Error.
bool follows_in_demo_world(const GattInstruction& instruction, std::string_view answer);

}  // namespace cria
