#include "trainers/conversation.h"

#include <nlohmann/json.hpp>

#include "cria/text/continuation.h"
#include "cria/text/utf8.h"

namespace cria {

Conversation::Conversation(const Tokenizer& tokenizer, std::string system)
    : tokenizer_(tokenizer), system_(std::move(system)) {}

std::vector<int32_t> Conversation::prompt_for(const std::string& text) const {
  std::vector<Message> turn;
  if (empty() && !system_.empty()) turn.push_back({"system", system_});
  turn.push_back({"user", text});
  std::vector<int32_t> ids = ids_;
  const std::vector<int32_t> more = encode_dialogue(tokenizer_, turn, "the message").ids;
  ids.insert(ids.end(), more.begin(), more.end());
  return ids;
}

void Conversation::add_turn(const std::string& text, std::vector<int32_t> prompt,
                            std::span<const int32_t> answer) {
  if (empty() && !system_.empty()) messages_.push_back({"system", system_});
  messages_.push_back({"user", std::string(strip(text))});
  messages_.push_back({"assistant", text_of(prompt, answer)});
  ids_ = std::move(prompt);
  ids_.insert(ids_.end(), answer.begin(), answer.end());
  if (ids_.back() != tokenizer_.eos_id()) ids_.push_back(tokenizer_.eos_id());
}

// Decoded behind the last token of the prompt, the end of [/INST].
std::string Conversation::text_of(std::span<const int32_t> prompt,
                                  std::span<const int32_t> answer) const {
  const std::span<const int32_t> certain = answer.first(decodable_tokens(tokenizer_, answer));
  return std::string(strip(decode_continuation(tokenizer_, prompt.last(1), certain)));
}

void Conversation::restart(std::string system) {
  system_ = std::move(system);
  messages_.clear();
  ids_.clear();
}

std::string Conversation::json_line() const {
  nlohmann::ordered_json messages = nlohmann::ordered_json::array();
  for (const Message& message : messages_) {
    messages.push_back({{"role", message.role}, {"content", message.content}});
  }
  return nlohmann::ordered_json{{"messages", messages}}.dump() + "\n";
}

}  // namespace cria
