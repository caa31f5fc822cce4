// A dialogue with a model in Llama 2's chat format. Answers stay the token ids that were sampled:
// they are never tokenized again, so the model sees in the next turn what it said in this one.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "cria/text/chat_template.h"

namespace cria {

class Conversation {
 public:
  explicit Conversation(const Tokenizer& tokenizer, std::string system = {});

  // The tokens for the model to continue when the user says `text`. The turn is part of the
  // dialogue once it is answered. An input Error when the text is not UTF-8.
  std::vector<int32_t> prompt_for(const std::string& text) const;

  // `prompt` is what prompt_for(text) gave and `answer` what followed; an eos is added to an answer
  // that was cut short.
  void add_turn(const std::string& text, std::vector<int32_t> prompt,
                std::span<const int32_t> answer);

  // The text of an answer as far as it is certain: without white space at its ends and without the
  // bytes of a character that is not whole. Grows at its end only.
  std::string text_of(std::span<const int32_t> prompt, std::span<const int32_t> answer) const;

  // A new dialogue; an empty `system` is none.
  void restart(std::string system);

  bool empty() const { return ids_.empty(); }  // no turn yet
  const std::string& system() const { return system_; }
  std::string json_line() const;  // {"messages": […]}

 private:
  const Tokenizer& tokenizer_;
  std::string system_;
  std::vector<Message> messages_;
  std::vector<int32_t> ids_;
};

}  // namespace cria
