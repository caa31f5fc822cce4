// Records: what one line of a data file says, whichever of the known forms it has.
//
//   {"messages": [{"role", "content"}]}         Dialogue, every answer a target
//   {"conversations": [{"from", "value"}]}      the same; from: human, user, gpt, assistant, system
//   {"input_ids", "labels"?}                    Tokens
//   {"prompt", "completion"} of message lists   Dialogue, the completion's answers the targets
//   {"prompt", "completion"} of strings         Completion; Dialogue where the prompt is
//   Anthropic's
//                                               "\n\nHuman: …\n\nAssistant:"
//   {"instruction", "input"?, "output"}         Completion of instruction, newline, input
//   {"question", "answer"}                      Completion
//   {"text"}                                    Text; fine-tuning reads Anthropic's as a Dialogue
//
// The first of these whose fields are all there decides; other fields (source, category, id) are
// left alone. A missing field or a wrong type is an input Error naming file, line and field.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "cria/data/json_lines.h"
#include "cria/text/chat_template.h"

namespace cria {

struct Text {
  std::string text;
};

struct Completion {
  std::string prompt;
  std::string completion;
};

struct Dialogue {
  std::vector<Message> messages;
  size_t first_target = 0;  // answers from this message on are learnt
};

// Already tokenized; labels as in data/example.h, and the ids themselves where the line has none.
struct Tokens {
  std::vector<int32_t> ids;
  std::vector<int32_t> labels;
};

struct Record {
  std::variant<Text, Completion, Dialogue, Tokens> content;
  std::string where;  // FILE:LINE, or the file of a whole text
};

Record parse_record(const nlohmann::json& line, const std::string& where);

// "messages" as a list of {"role", "content"}; `field` names it in errors.
std::vector<Message> parse_messages(const nlohmann::json& list, const std::string& where,
                                    const std::string& field);

// All records of a file in order: the lines of .jsonl(.gz), or the one document of .txt(.gz).
class RecordReader {
 public:
  using Item = Record;

  explicit RecordReader(const std::string& path, bool skip_bad_lines = false);

  bool next(Record& record);  // false at the end
  // For a record that turns out wrong later on: as JsonLines; a text file has no lines to skip.
  void reject(const Error& error);
  int64_t skipped() const { return lines_ ? lines_->skipped() : 0; }
  std::string first_skipped() const { return lines_ ? lines_->first_skipped() : std::string(); }

 private:
  std::string path_;
  std::optional<JsonLines> lines_;  // none for a text file
  bool text_read_ = false;
};

// Every text of a record, in order: what a tokenizer learns from.
void for_each_text(const Record& record, const std::function<void(const std::string&)>& visit);

}  // namespace cria
