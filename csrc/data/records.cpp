#include "cria/data/records.h"

#include <limits>
#include <nlohmann/json.hpp>

#include "cria/data/example.h"

namespace cria {

namespace {

using nlohmann::json;

bool has(const json& line, const char* field) {
  const auto found = line.find(field);
  return found != line.end() && !found->is_null();
}

Error wrong_type(const std::string& where, const std::string& field, const char* expected,
                 const json& value) {
  return input_error(
      where, fmt::format("field '{}' must be {}, and is {} {}", field, expected,
                         value.is_array() || value.is_object() ? "an" : "a", value.type_name()));
}

const json& member(const json& object, const char* field, const std::string& where,
                   const std::string& path) {
  const auto found = object.find(field);
  if (found == object.end()) {
    throw input_error(where, fmt::format("field '{}' is missing", path));
  }
  return *found;
}

std::string string_of(const json& object, const char* field, const std::string& where,
                      const std::string& path) {
  const json& value = member(object, field, where, path);
  if (!value.is_string()) throw wrong_type(where, path, "a string", value);
  return value.get<std::string>();
}

std::string string_of(const json& line, const char* field, const std::string& where) {
  return string_of(line, field, where, field);
}

std::vector<Message> parse_turns(const json& list, const std::string& where,
                                 const std::string& field, const char* role_field,
                                 const char* content_field) {
  if (!list.is_array()) throw wrong_type(where, field, "a list of messages", list);
  std::vector<Message> messages;
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string path = fmt::format("{}[{}]", field, i);
    if (!list[i].is_object()) throw wrong_type(where, path, "an object", list[i]);
    messages.push_back(
        {string_of(list[i], role_field, where, fmt::format("{}.{}", path, role_field)),
         string_of(list[i], content_field, where, fmt::format("{}.{}", path, content_field))});
  }
  if (messages.empty()) throw input_error(where, fmt::format("field '{}' is empty", field));
  return messages;
}

Dialogue parse_conversations(const json& line, const std::string& where) {
  Dialogue dialogue{
      .messages = parse_turns(line["conversations"], where, "conversations", "from", "value")};
  for (Message& message : dialogue.messages) {
    if (message.role == "human") message.role = "user";
    if (message.role == "gpt") message.role = "assistant";
  }
  return dialogue;
}

std::vector<int32_t> integers(const json& line, const char* field, int64_t lowest,
                              const std::string& where) {
  const json& list = line[field];
  if (!list.is_array()) throw wrong_type(where, field, "a list of integers", list);
  std::vector<int32_t> values;
  values.reserve(list.size());
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string path = fmt::format("{}[{}]", field, i);
    if (!list[i].is_number_integer()) throw wrong_type(where, path, "an integer", list[i]);
    // As a double: integers beyond 64 bits signed must not wrap around into the range.
    const double value = list[i].get<double>();
    if (value < static_cast<double>(lowest) || value > std::numeric_limits<int32_t>::max()) {
      throw input_error(
          where, fmt::format("field '{}' is {}, which is no token id", path, list[i].dump()));
    }
    values.push_back(list[i].get<int32_t>());
  }
  return values;
}

Tokens parse_tokens(const json& line, const std::string& where) {
  Tokens tokens{.ids = integers(line, "input_ids", 0, where), .labels = {}};
  if (tokens.ids.empty()) throw input_error(where, "field 'input_ids' is empty");
  tokens.labels = has(line, "labels") ? integers(line, "labels", kNoLabel, where) : tokens.ids;
  if (tokens.labels.size() != tokens.ids.size()) {
    throw input_error(
        where, fmt::format("{} input_ids but {} labels", tokens.ids.size(), tokens.labels.size()));
  }
  for (size_t i = 0; i < tokens.labels.size(); ++i) {
    if (tokens.labels[i] < 0 && tokens.labels[i] != kNoLabel) {
      throw input_error(where, fmt::format("field 'labels[{}]' is {}", i, tokens.labels[i]),
                        "a label is a token id, or -100 for no loss");
    }
  }
  return tokens;
}

// Anthropic's prompts end with the marker that opens the answer.
Dialogue anthropic_completion(const std::string& prompt, const std::string& completion,
                              const std::string& where) {
  Dialogue dialogue{.messages = parse_anthropic_dialogue(prompt, where)};
  if (dialogue.messages.back().content.empty() && dialogue.messages.back().role == "assistant") {
    dialogue.messages.pop_back();
  }
  dialogue.first_target = dialogue.messages.size();
  dialogue.messages.push_back({"assistant", completion});
  return dialogue;
}

decltype(Record::content) parse_completion(const json& line, const std::string& where) {
  if (line["prompt"].is_array()) {
    Dialogue dialogue{.messages = parse_messages(line["prompt"], where, "prompt")};
    dialogue.first_target = dialogue.messages.size();
    const auto completion = parse_messages(line["completion"], where, "completion");
    dialogue.messages.insert(dialogue.messages.end(), completion.begin(), completion.end());
    return dialogue;
  }
  std::string prompt = string_of(line, "prompt", where);
  std::string completion = string_of(line, "completion", where);
  if (is_anthropic_dialogue(prompt)) return anthropic_completion(prompt, completion, where);
  return Completion{std::move(prompt), std::move(completion)};
}

Completion parse_instruction(const json& line, const std::string& where) {
  std::string prompt = string_of(line, "instruction", where);
  const std::string input = has(line, "input") ? string_of(line, "input", where) : "";
  if (!input.empty()) prompt += "\n" + input;
  return {std::move(prompt), string_of(line, "output", where)};
}

// No form is whole: say what is missing from the one that was begun.
Error unknown_form(const json& line, const std::string& where) {
  constexpr const char* kPairs[][2] = {
      {"prompt", "completion"}, {"instruction", "output"}, {"question", "answer"}};
  for (const auto& pair : kPairs) {
    for (const int there : {0, 1}) {
      if (!has(line, pair[there])) continue;
      return input_error(
          where, fmt::format("field '{}' is missing beside '{}'", pair[1 - there], pair[there]));
    }
  }
  std::string fields;
  for (const auto& [name, value] : line.items()) {
    fields += (fields.empty() ? "'" : ", '") + name + "'";
    if (fields.size() > 80) break;
  }
  return input_error(
      where, fmt::format("no known form of data (fields: {})", fields.empty() ? "none" : fields),
      "give text, messages, prompt and completion, or another form of docs/data.md");
}

}  // namespace

std::vector<Message> parse_messages(const json& list, const std::string& where,
                                    const std::string& field) {
  return parse_turns(list, where, field, "role", "content");
}

Record parse_record(const json& line, const std::string& where) {
  if (!line.is_object()) {
    throw input_error(where, fmt::format("the line is a JSON {}, not an object", line.type_name()));
  }
  if (has(line, "messages")) {
    return {Dialogue{.messages = parse_messages(line["messages"], where, "messages")}, where};
  }
  if (has(line, "conversations")) return {parse_conversations(line, where), where};
  if (has(line, "input_ids")) return {parse_tokens(line, where), where};
  if (has(line, "prompt") && has(line, "completion")) return {parse_completion(line, where), where};
  if (has(line, "instruction") && has(line, "output"))
    return {parse_instruction(line, where), where};
  if (has(line, "question") && has(line, "answer")) {
    return {Completion{string_of(line, "question", where), string_of(line, "answer", where)},
            where};
  }
  if (has(line, "text")) return {Text{string_of(line, "text", where)}, where};
  throw unknown_form(line, where);
}

RecordReader::RecordReader(const std::string& path, bool skip_bad_lines) : path_(path) {
  if (file_form(path) == FileForm::json_lines) lines_.emplace(path, skip_bad_lines);
}

bool RecordReader::next(Record& record) {
  if (!lines_) {
    if (text_read_) return false;
    record = {Text{read_text_file(path_)}, path_};
    text_read_ = true;
    return true;
  }
  json line;
  while (lines_->next(line)) {
    try {
      record = parse_record(line, lines_->where());
      return true;
    } catch (const Error& error) {
      lines_->reject(error);
    }
  }
  return false;
}

void RecordReader::reject(const Error& error) {
  if (!lines_) throw error;
  lines_->reject(error);
}

void for_each_text(const Record& record, const std::function<void(const std::string&)>& visit) {
  if (const auto* text = std::get_if<Text>(&record.content)) visit(text->text);
  if (const auto* completion = std::get_if<Completion>(&record.content)) {
    visit(completion->prompt);
    visit(completion->completion);
  }
  if (const auto* dialogue = std::get_if<Dialogue>(&record.content)) {
    for (const Message& message : dialogue->messages) visit(message.content);
  }
}

}  // namespace cria
