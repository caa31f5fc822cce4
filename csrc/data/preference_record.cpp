#include "cria/data/preference_record.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "cria/text/utf8.h"

#include "json_fields.h"

namespace cria {

namespace {

using nlohmann::json;

using Messages = std::vector<Message>;

// What a prompt or an answer may be: a plain text or messages.
using Turns = std::variant<std::string, Messages>;

Turns turns_of(const json& line, const char* field, const std::string& where) {
  const json& value = line[field];
  if (value.is_array()) return parse_messages(value, where, field);
  if (!value.is_string()) throw wrong_type(where, field, "a string or a list of messages", value);
  std::string text = value.get<std::string>();
  if (is_anthropic_dialogue(text)) return parse_anthropic_dialogue(text, where);
  return text;
}

Messages prompt_messages(const Turns& prompt) {
  if (const auto* text = std::get_if<std::string>(&prompt)) return {{"user", *text}};
  Messages messages = std::get<Messages>(prompt);
  // Anthropic's prompts end with the marker that opens the answer.
  if (messages.back().role == "assistant" && strip(messages.back().content).empty()) {
    messages.pop_back();
  }
  return messages;
}

// As the chat format sees them, which strips every turn.
bool same(const Message& a, const Message& b) {
  return a.role == b.role && strip(a.content) == strip(b.content);
}

bool starts_with(const Messages& messages, const Messages& front) {
  return messages.size() >= front.size() &&
         std::equal(front.begin(), front.end(), messages.begin(), same);
}

void require_answer(std::string_view answer, const char* field, const std::string& where) {
  if (!strip(answer).empty()) return;
  throw input_error(where, fmt::format("field '{}' has an empty answer", field),
                    "mend it or set skip_bad_lines");
}

void require_answer(const Messages& messages, const char* field, const std::string& where) {
  if (messages.back().role != "assistant") {
    throw input_error(where, fmt::format("field '{}' ends with the user's turn", field),
                      "its last message must be an answer");
  }
  require_answer(messages.back().content, field, where);
}

// How many messages both dialogues begin with, their last ones excepted.
size_t shared_messages(const Messages& chosen, const Messages& rejected) {
  const size_t most = std::min(chosen.size(), rejected.size()) - 1;
  size_t shared = 0;
  while (shared < most && same(chosen[shared], rejected[shared])) ++shared;
  return shared;
}

void set_dialogues(PreferenceRecord& record, Messages chosen, Messages rejected) {
  require_answer(chosen, "chosen", record.where);
  require_answer(rejected, "rejected", record.where);
  const size_t shared = shared_messages(chosen, rejected);
  if (chosen[shared].role != "assistant" || rejected[shared].role != "assistant") {
    throw input_error(record.where,
                      fmt::format("'chosen' and 'rejected' part at message {}, which is not an "
                                  "answer of both",
                                  shared),
                      "they must answer one prompt");
  }
  record.chosen = Dialogue{.messages = std::move(chosen), .first_target = shared};
  record.rejected = Dialogue{.messages = std::move(rejected), .first_target = shared};
}

// A prompt and an answer as one dialogue. Lists of messages may repeat the prompt.
Messages joined(const Messages& prompt, const Turns& answer) {
  if (const auto* messages = std::get_if<Messages>(&answer)) {
    if (starts_with(*messages, prompt)) return *messages;
    Messages whole = prompt;
    whole.insert(whole.end(), messages->begin(), messages->end());
    return whole;
  }
  Messages whole = prompt;
  whole.push_back({"assistant", std::get<std::string>(answer)});
  return whole;
}

void set_texts(PreferenceRecord& record, const std::string* prompt, std::string chosen,
               std::string rejected) {
  require_answer(chosen, "chosen", record.where);
  require_answer(rejected, "rejected", record.where);
  if (prompt) {
    record.chosen = Completion{*prompt, std::move(chosen)};
    record.rejected = Completion{*prompt, std::move(rejected)};
  } else {
    record.chosen = Text{std::move(chosen)};
    record.rejected = Text{std::move(rejected)};
  }
}

void set_answers(PreferenceRecord& record, const json& line) {
  Turns chosen = turns_of(line, "chosen", record.where);
  Turns rejected = turns_of(line, "rejected", record.where);
  const bool plain = std::holds_alternative<std::string>(chosen);
  if (plain != std::holds_alternative<std::string>(rejected)) {
    throw input_error(record.where,
                      "of 'chosen' and 'rejected' one is a dialogue, the other is not",
                      "give both in one form");
  }
  std::optional<Turns> prompt;
  if (has(line, "prompt")) prompt = turns_of(line, "prompt", record.where);
  const auto* text = prompt ? std::get_if<std::string>(&*prompt) : nullptr;
  if (plain && (text || !prompt)) {
    return set_texts(record, text, std::get<std::string>(std::move(chosen)),
                     std::get<std::string>(std::move(rejected)));
  }
  const Messages messages = prompt ? prompt_messages(*prompt) : Messages();
  set_dialogues(record, joined(messages, chosen), joined(messages, rejected));
}

void set_tokens(PreferenceRecord& record, const json& line) {
  Tokens chosen = tokens_of(line, "chosen_input_ids", "chosen_labels", record.where);
  Tokens rejected = tokens_of(line, "rejected_input_ids", "rejected_labels", record.where);
  if (has(line, "chosen_labels") != has(line, "rejected_labels")) {
    throw input_error(record.where, "one of 'chosen_labels' and 'rejected_labels' is missing",
                      "give both or none");
  }
  record.chosen = std::move(chosen);
  record.rejected = std::move(rejected);
}

// Of a field that names one of a few things.
template <typename Enum, size_t N>
std::optional<Enum> enum_of(const json& line, const char* field, const std::string_view (&names)[N],
                            const std::string& where) {
  if (!has(line, field)) return std::nullopt;
  const std::string name = string_of(line, field, where);
  const auto found = std::find(std::begin(names), std::end(names), name);
  if (found != std::end(names)) return static_cast<Enum>(found - std::begin(names));
  throw input_error(where, fmt::format("field '{}' is '{}'", field, name),
                    fmt::format("one of {}", fmt::join(names, ", ")));
}

std::optional<bool> bool_of(const json& line, const char* field, const std::string& where) {
  if (!has(line, field)) return std::nullopt;
  if (!line[field].is_boolean()) throw wrong_type(where, field, "true or false", line[field]);
  return line[field].get<bool>();
}

std::optional<float> number_of(const json& line, const char* field, const std::string& where) {
  if (!has(line, field)) return std::nullopt;
  if (!line[field].is_number()) throw wrong_type(where, field, "a number", line[field]);
  const auto value = line[field].get<float>();
  if (!std::isfinite(value)) {
    throw input_error(where, fmt::format("field '{}' is out of bounds", field));
  }
  return value;
}

// The field that is missing beside the one of its kind that is there.
Error no_pair(const json& line, const std::string& where) {
  constexpr const char* kPairs[][2] = {{"chosen", "rejected"},
                                       {"chosen_input_ids", "rejected_input_ids"}};
  for (const auto& pair : kPairs) {
    for (const int there : {0, 1}) {
      if (!has(line, pair[there])) continue;
      return input_error(
          where, fmt::format("field '{}' is missing beside '{}'", pair[1 - there], pair[there]));
    }
  }
  return input_error(where, "no preference: the line has neither 'chosen' nor 'rejected'",
                     "give chosen and rejected, or another form of docs/data.md");
}

}  // namespace

bool is_preference(const json& line) {
  if (!line.is_object()) return false;
  return has(line, "chosen") || has(line, "rejected") || has(line, "chosen_input_ids") ||
         has(line, "rejected_input_ids");
}

bool holds_preferences(const std::string& path) {
  if (file_form(path) == FileForm::text) return false;
  JsonLines lines(path, /*skip_bad_lines=*/true);
  json line;
  return lines.next(line) && is_preference(line);
}

PreferenceRecord parse_preference(const json& line, const std::string& where) {
  if (!line.is_object()) {
    throw input_error(where, fmt::format("the line is a JSON {}, not an object", line.type_name()));
  }
  PreferenceRecord record{.rating = enum_of<Rating>(line, "rating", kRatingNames, where),
                          .margin = number_of(line, "margin", where),
                          .chosen_safe = bool_of(line, "chosen_safe", where),
                          .rejected_safe = bool_of(line, "rejected_safe", where),
                          .where = where};
  record.category =
      enum_of<Category>(line, "category", kCategoryNames, where).value_or(Category::helpful);
  if (has(line, "source")) record.source = string_of(line, "source", where);
  if (has(line, "chosen_input_ids") && has(line, "rejected_input_ids")) {
    set_tokens(record, line);
  } else if (has(line, "chosen") && has(line, "rejected")) {
    set_answers(record, line);
  } else {
    throw no_pair(line, where);
  }
  return record;
}

PreferenceReader::PreferenceReader(const std::string& path, bool skip_bad_lines)
    : lines_(path, skip_bad_lines) {
  if (file_form(path) != FileForm::json_lines) {
    throw input_error(path, "is a text, not preferences", "preferences are JSON Lines");
  }
}

bool PreferenceReader::next(PreferenceRecord& record) {
  json line;
  while (lines_.next(line)) {
    try {
      record = parse_preference(line, lines_.where());
      return true;
    } catch (const Error& error) {
      lines_.reject(error);
    }
  }
  return false;
}

}  // namespace cria
