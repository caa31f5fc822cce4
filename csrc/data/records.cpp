#include "cria/data/records.h"

#include <nlohmann/json.hpp>

#include "cria/data/preference_record.h"

#include "json_fields.h"

namespace cria {

namespace {

using nlohmann::json;

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
  if (is_preference(line)) {
    return input_error(where, "the line is a preference, of two answers",
                       "what is read here has one: give it as prompt and completion");
  }
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
  if (has(line, "input_ids")) return {tokens_of(line, "input_ids", "labels", where), where};
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
