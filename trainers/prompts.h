// Prompts to answer, from the command line or from a file.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "cria/text/chat_template.h"
#include "cria/text/tokenizer.h"

namespace cria {

struct PromptOptions {
  bool chat = false;   // a string is a user's message, in the chat format; else a text to continue
  std::string system;  // system message of chats that have none; empty: none
  std::string separator;  // after a text to continue
  bool skip_bad_lines = false;
  std::string label_field;  // of a line, kept as Prompt::label; empty: none
};

// As a trainer's settings have it (TrainConfig::data and its like).
template <typename Data>
PromptOptions prompt_options(const Data& data) {
  return {.chat = data.separator.empty(),
          .system = {},
          .separator = data.separator,
          .skip_bad_lines = data.skip_bad_lines,
          .label_field = {}};
}

struct Prompt {
  nlohmann::json given;      // as it stood in the file
  std::string shown;         // the last user message, or the text
  std::vector<int32_t> ids;  // ready to be continued
  bool is_chat = false;
  std::vector<Message> messages;  // of a chat, as they are encoded
  bool is_safety = false;         // the line's "category" is "safety"
  std::string label;              // of PromptOptions::label_field; empty where the line has none
  std::string where;
  uint32_t number = 0;  // in its file, from 0; bad lines count
};

// The name of the field of a line that holds its prompt; nullptr: it has none.
const char* prompt_field(const nlohmann::json& line);

Prompt text_prompt(const std::string& text, const PromptOptions& options,
                   const Tokenizer& tokenizer);

// Lines with "prompt" or "messages" (message lists; an answer at the end is left out), "prompt",
// "question", "instruction" (with "input"?) or "text" (strings; Anthropic's dialogues are chats),
// or "input_ids"; a "category" of "safety" is noted. Other fields are left alone. A bad line is an
// input Error that names it, or is left out and counted; so is one that `check` throws at.
struct PromptFile {
  std::vector<Prompt> prompts;
  int64_t skipped = 0;
  std::string first_skipped;  // its error's message
};

PromptFile read_prompts(const std::string& path, const PromptOptions& options,
                        const Tokenizer& tokenizer,
                        const std::function<void(const Prompt&)>& check);

// Of the prompts' ids; 0 without any.
int64_t longest_prompt(std::span<const Prompt> prompts);
// The context of a cache that answers of up to max_new_tokens to prompts of this length can fill,
// no larger than max_context.
int64_t context_needed(int64_t longest_prompt, int64_t max_new_tokens, int64_t max_context);

}  // namespace cria
