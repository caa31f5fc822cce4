// Prompts to answer, from the command line or from a file.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cria/text/tokenizer.h"

namespace cria {

struct PromptOptions {
  bool chat = false;   // a string is a user's message, in the chat format; else a text to continue
  std::string system;  // system message of chats that have none; empty: none
};

struct Prompt {
  nlohmann::json given;      // as it stood in the file
  std::string shown;         // the last user message, or the text
  std::vector<int32_t> ids;  // ready to be continued
  bool is_chat = false;
  std::string where;
};

Prompt text_prompt(const std::string& text, const PromptOptions& options,
                   const Tokenizer& tokenizer);

// Lines with "prompt" or "messages" (message lists; an answer at the end is left out), "prompt",
// "question", "instruction" (with "input"?) or "text" (strings; Anthropic's dialogues are chats),
// or "input_ids". Other fields are left alone.
std::vector<Prompt> read_prompts(const std::string& path, const PromptOptions& options,
                                 const Tokenizer& tokenizer);

}  // namespace cria
