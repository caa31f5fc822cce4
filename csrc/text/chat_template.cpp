#include "cria/text/chat_template.h"

#include <algorithm>

#include "cria/core/error.h"
#include "cria/text/utf8.h"

namespace cria {

namespace {

// A stretch of the text that is encoded as one, and the segment it makes.
struct Part {
  std::string_view text;
  int32_t segment;
};

// Appends the tokens of the joined parts. A token belongs to the part that holds its last byte, so
// the later one where it straddles two; a token without bytes of its own (a dummy prefix, the first
// bytes of a character) to the part that it stands before or in.
void append(EncodedText& encoded, const Tokenizer& tokenizer, const std::vector<Part>& parts) {
  std::string text;
  std::vector<int64_t> ends;
  for (const Part& part : parts) {
    text += part.text;
    ends.push_back(static_cast<int64_t>(text.size()));
  }
  for (const TokenSpan& token : tokenizer.encode_spans(text)) {
    const int64_t byte = token.end > token.begin ? token.end - 1 : token.begin;
    const auto end = std::upper_bound(ends.begin(), ends.end(), byte);
    const size_t part = std::min(static_cast<size_t>(end - ends.begin()), parts.size() - 1);
    encoded.ids.push_back(token.id);
    encoded.segments.push_back(parts[part].segment);
  }
}

void append_control(EncodedText& encoded, int32_t id, int32_t segment) {
  encoded.ids.push_back(id);
  encoded.segments.push_back(segment);
}

// White space at both ends of the joined parts goes, whichever parts it lies in.
void strip_parts(std::vector<Part>& parts) {
  std::string text;
  for (const Part& part : parts) text += part.text;
  const std::string_view kept = strip(text);
  size_t front = kept.empty() ? text.size() : static_cast<size_t>(kept.data() - text.data());
  size_t back = text.size() - front - kept.size();
  for (Part& part : parts) {
    const size_t cut = std::min(front, part.text.size());
    part.text.remove_prefix(cut);
    front -= cut;
  }
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
    const size_t cut = std::min(back, part->text.size());
    part->text.remove_suffix(cut);
    back -= cut;
  }
}

void check_roles(std::span<const Message> messages, const std::string& where) {
  const size_t first = !messages.empty() && messages[0].role == "system" ? 1 : 0;
  if (messages.size() == first) {
    throw input_error(where, first == 0 ? "no messages" : "a system message and nothing else",
                      "a dialogue needs a user turn");
  }
  for (size_t i = first; i < messages.size(); ++i) {
    const char* expected = (i - first) % 2 == 0 ? "user" : "assistant";
    if (messages[i].role != expected) {
      throw input_error(
          where,
          fmt::format("message {} has role '{}' where '{}' must stand", i, messages[i].role,
                      expected),
          "a dialogue is an optional system message, then user and assistant in turns");
    }
  }
}

}  // namespace

EncodedText encode_dialogue(const Tokenizer& tokenizer, std::span<const Message> messages,
                            const std::string& where) {
  check_roles(messages, where);
  const size_t first = messages[0].role == "system" ? 1 : 0;
  EncodedText encoded;
  for (size_t user = first; user < messages.size(); user += 2) {
    const size_t answer = user + 1;
    std::vector<Part> turn;
    if (user == 1) {
      turn = {{"<<SYS>>\n", kMarker}, {messages[0].content, 0}, {"\n<</SYS>>\n\n", kMarker}};
    }
    turn.push_back({messages[user].content, static_cast<int32_t>(user)});
    strip_parts(turn);

    std::vector<Part> parts = {{"[INST] ", kMarker}};
    parts.insert(parts.end(), turn.begin(), turn.end());
    append_control(encoded, tokenizer.bos_id(), kMarker);
    if (answer == messages.size()) {
      parts.push_back({" [/INST]", kMarker});
      append(encoded, tokenizer, parts);
      break;
    }
    const int32_t segment = static_cast<int32_t>(answer);
    parts.push_back({" [/INST]", kMarker});
    // With the space in front: the prompt of an answer ends before it, so that where the space is a
    // token of its own (before a digit), it is one that the model has to say.
    parts.push_back({" ", segment});
    parts.push_back({strip(messages[answer].content), segment});
    parts.push_back({" ", segment});
    append(encoded, tokenizer, parts);
    append_control(encoded, tokenizer.eos_id(), segment);
  }
  return encoded;
}

EncodedText encode_completion(const Tokenizer& tokenizer, std::string_view prompt,
                              std::string_view separator, std::string_view completion) {
  EncodedText encoded;
  append_control(encoded, tokenizer.bos_id(), kMarker);
  append(encoded, tokenizer, {{prompt, 0}, {separator, kMarker}, {completion, 1}});
  append_control(encoded, tokenizer.eos_id(), 1);
  return encoded;
}

std::vector<int32_t> encode_prompt(const Tokenizer& tokenizer, std::string_view prompt,
                                   std::string_view separator) {
  std::vector<int32_t> ids = {tokenizer.bos_id()};
  const std::vector<int32_t> text = tokenizer.encode(std::string(prompt).append(separator));
  ids.insert(ids.end(), text.begin(), text.end());
  return ids;
}

static constexpr std::string_view kHuman = "\n\nHuman:";
static constexpr std::string_view kAssistant = "\n\nAssistant:";

bool is_anthropic_dialogue(std::string_view text) { return text.starts_with(kHuman); }

std::vector<Message> parse_anthropic_dialogue(std::string_view text, const std::string& where) {
  if (!is_anthropic_dialogue(text)) {
    throw input_error(where, "the dialogue does not start with \"\\n\\nHuman:\"");
  }
  std::vector<Message> messages;
  while (!text.empty()) {
    const bool human = text.starts_with(kHuman);
    text.remove_prefix(human ? kHuman.size() : kAssistant.size());
    const size_t end = std::min({text.find(kHuman), text.find(kAssistant), text.size()});
    messages.push_back({human ? "user" : "assistant", std::string(strip(text.substr(0, end)))});
    text.remove_prefix(end);
  }
  return messages;
}

}  // namespace cria
