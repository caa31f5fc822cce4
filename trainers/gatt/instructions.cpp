#include "trainers/gatt/instructions.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "cria/core/random.h"
#include "cria/data/json_lines.h"
#include "cria/demo_world/instructions.h"
#include "cria/text/utf8.h"

#include "trainers/gatt/random_keys.h"

namespace cria {

namespace {

using nlohmann::json;

std::string optional_string(const json& line, const char* field, const std::string& where) {
  const auto found = line.find(field);
  if (found == line.end() || found->is_null()) return {};
  if (!found->is_string()) {
    throw input_error(
        where, fmt::format("field '{}' must be a string, and is a {}", field, found->type_name()));
  }
  return found->get<std::string>();
}

std::vector<std::string> strings_of(const json& line, const char* field, const std::string& where) {
  const auto found = line.find(field);
  if (found == line.end() || found->is_null()) return {};
  if (found->is_string()) return {found->get<std::string>()};
  try {
    return found->get<std::vector<std::string>>();
  } catch (const json::exception&) {
    throw input_error(where,
                      fmt::format("field '{}' must be a string or a list of strings", field));
  }
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// "2. \"Chess\"," is Chess.
std::string entry_of(std::string_view text) {
  const auto trimmed = [](std::string_view s) { return strip(s); };
  text = trimmed(text);
  size_t digits = 0;
  while (digits < text.size() && is_digit(text[digits])) ++digits;
  if (digits > 0 && digits < text.size() && (text[digits] == '.' || text[digits] == ')')) {
    text = trimmed(text.substr(digits + 1));
  }
  constexpr std::string_view kBullet = "\u2022";
  constexpr std::string_view kAround = "-*\"'`.,;";
  while (true) {
    if (text.starts_with(kBullet)) {
      text = trimmed(text.substr(kBullet.size()));
    } else if (!text.empty() && kAround.find(text.front()) != std::string_view::npos) {
      text = trimmed(text.substr(1));
    } else if (!text.empty() && kAround.find(text.back()) != std::string_view::npos) {
      text = trimmed(text.substr(0, text.size() - 1));
    } else {
      return std::string(text);
    }
  }
}

int64_t words_in(std::string_view text) {
  int64_t words = 0;
  bool in_word = false;
  for (const char c : text) {
    const bool space = c == ' ' || c == '\t';
    words += !space && !in_word;
    in_word = !space;
  }
  return words;
}

std::vector<std::string_view> parts_of(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(separator, begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

std::string lower_case(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

std::string filled(std::string form, const std::string& value) {
  if (const size_t place = form.find("{}"); place != std::string::npos) {
    form.replace(place, 2, value);
  }
  return form;
}

// Whether they can stand side by side: no kind twice, and both with kinds.
bool can_join(const GattInstruction& a, const GattInstruction& b) {
  if (a.kinds.empty() || b.kinds.empty()) return false;
  return std::none_of(a.kinds.begin(), a.kinds.end(), [&](const std::string& kind) {
    return std::find(b.kinds.begin(), b.kinds.end(), kind) != b.kinds.end();
  });
}

void join(GattInstruction& a, const GattInstruction& b) {
  // An instruction without a short form stands in its long one.
  const bool some_short = !a.short_form.empty() || !b.short_form.empty();
  const auto shortest = [](const GattInstruction& i) {
    return i.short_form.empty() ? i.long_form : i.short_form;
  };
  if (some_short) a.short_form = shortest(a) + " " + shortest(b);
  a.long_form += " " + b.long_form;
  a.kinds.insert(a.kinds.end(), b.kinds.begin(), b.kinds.end());
  a.values.insert(a.values.end(), b.values.begin(), b.values.end());
}

}  // namespace

std::string to_line(const GattInstruction& i) {
  nlohmann::ordered_json line;
  line["instruction"] = i.long_form;
  if (!i.short_form.empty()) line["short"] = i.short_form;
  line["instruction_kind"] = i.kinds;
  line["instruction_value"] = i.values;
  return line.dump() + "\n";
}

GattInstruction parse_instruction(const json& line, const std::string& where) {
  if (!line.is_object()) throw input_error(where, "the line is no JSON object");
  GattInstruction instruction{.long_form = optional_string(line, "instruction", where),
                              .short_form = optional_string(line, "short", where),
                              .kinds = strings_of(line, "instruction_kind", where),
                              .values = strings_of(line, "instruction_value", where)};
  if (strip(instruction.long_form).empty()) {
    throw input_error(where, "field 'instruction' is missing or empty",
                      "a line is {\"instruction\", \"short\"?, \"instruction_kind\"?}");
  }
  if (instruction.values.size() != instruction.kinds.size()) {
    throw input_error(where, fmt::format("{} instruction_kind but {} instruction_value",
                                         instruction.kinds.size(), instruction.values.size()));
  }
  return instruction;
}

std::vector<GattInstruction> read_instructions(const std::vector<std::string>& paths) {
  std::vector<GattInstruction> instructions;
  for (const std::string& path : paths) {
    JsonLines lines(path);
    for (json line; lines.next(line);) {
      if (line.is_object() && line.value("held_out", json(false)) == json(true)) continue;
      instructions.push_back(parse_instruction(line, lines.where()));
    }
  }
  if (instructions.empty()) {
    throw input_error(fmt::format("{}", fmt::join(paths, ", ")), "no instruction in it");
  }
  return instructions;
}

std::vector<std::string> parse_list(std::string_view text, bool complete, int64_t max_words) {
  std::vector<std::string_view> lines = parts_of(strip(text), '\n');
  if (lines.size() == 1) lines = parts_of(lines[0], ',');
  if (!complete) lines.pop_back();
  std::vector<std::string> entries;
  for (const std::string_view line : lines) {
    if (strip(line).ends_with(':')) continue;  // "Here is a list:"
    std::string entry = entry_of(line);
    if (!entry.empty() && words_in(entry) <= max_words) entries.push_back(std::move(entry));
  }
  return entries;
}

std::vector<std::string> merge_lists(const std::vector<std::vector<std::string>>& lists,
                                     int64_t min_count) {
  std::map<std::string, int64_t> counts;
  std::vector<std::string> order;  // first spellings
  for (const auto& list : lists) {
    std::set<std::string> seen;
    for (const std::string& entry : list) {
      const std::string key = lower_case(entry);
      if (!seen.insert(key).second) continue;
      if (counts[key]++ == 0) order.push_back(entry);
    }
  }
  std::erase_if(order,
                [&](const std::string& entry) { return counts[lower_case(entry)] < min_count; });
  return order;
}

std::vector<GattInstruction> fill_forms(const ListedKind& kind,
                                        const std::vector<std::string>& values) {
  std::vector<GattInstruction> instructions;
  for (const std::string& value : values) {
    instructions.push_back({.long_form = filled(kind.long_form, value),
                            .short_form = filled(kind.short_form, value),
                            .kinds = {kind.name},
                            .values = {value}});
  }
  return instructions;
}

std::vector<GattInstruction> combine(const std::vector<GattInstruction>& simple, int64_t count,
                                     double combine_share, uint64_t seed) {
  std::vector<GattInstruction> drawn;
  for (int64_t i = 0; i < count; ++i) {
    const Random random(seed, Purpose::instructions,
                        random_key(GattDraw::combination, static_cast<uint32_t>(i)));
    uint64_t position = 0;
    GattInstruction instruction = simple[random.below(simple.size(), position++)];
    while (double{random.uniform(position++)} < combine_share) {
      std::vector<const GattInstruction*> others;
      for (const GattInstruction& other : simple) {
        if (can_join(instruction, other)) others.push_back(&other);
      }
      if (others.empty()) break;
      join(instruction, *others[random.below(others.size(), position++)]);
    }
    drawn.push_back(std::move(instruction));
  }
  return drawn;
}

bool follows_in_demo_world(const GattInstruction& instruction, std::string_view answer) {
  for (size_t i = 0; i < instruction.kinds.size(); ++i) {
    if (!demo::follows(instruction.kinds[i], instruction.values[i], answer)) return false;
  }
  return true;
}

}  // namespace cria
