#include "trainers/prompts.h"

#include <algorithm>

#include "cria/data/example_builder.h"

namespace cria {

using nlohmann::json;

namespace {

Prompt chat_prompt(std::vector<Message> messages, const PromptOptions& options,
                   const Tokenizer& tokenizer, const std::string& where) {
  if (messages.size() > 1 && messages.back().role == "assistant") messages.pop_back();
  if (!options.system.empty() && messages.front().role != "system") {
    messages.insert(messages.begin(), {"system", options.system});
  }
  if (messages.back().role != "user") {
    throw input_error(where, "the dialogue must end with a user's message to answer");
  }
  Prompt prompt{.given = {},
                .shown = messages.back().content,
                .ids = encode_dialogue(tokenizer, messages, where).ids,
                .is_chat = true,
                .where = where};
  prompt.messages = std::move(messages);
  return prompt;
}

Prompt string_prompt(const std::string& text, const PromptOptions& options,
                     const Tokenizer& tokenizer, const std::string& where) {
  if (is_anthropic_dialogue(text)) {
    return chat_prompt(parse_anthropic_dialogue(text, where), options, tokenizer, where);
  }
  if (options.chat) return chat_prompt({{"user", text}}, options, tokenizer, where);
  return {.given = {},
          .shown = text,
          .ids = encode_prompt(tokenizer, text, options.separator),
          .is_chat = false,
          .where = where};
}

Prompt ids_prompt(const json& line, const Tokenizer& tokenizer, const std::string& where) {
  const Record record = parse_record({{"input_ids", line["input_ids"]}}, where);
  const Example example = fine_tuning_example(record, {}, tokenizer);  // checks the ids
  return {.given = {},
          .shown = tokenizer.decode(example.ids),
          .ids = example.ids,
          .is_chat = false,
          .where = where};
}

bool is_safety_line(const json& line) {
  const auto found = line.find("category");
  return found != line.end() && *found == "safety";
}

std::string label_of(const json& line, const std::string& field, const std::string& where) {
  const auto found = line.find(field);
  if (field.empty() || found == line.end() || found->is_null()) return {};
  if (found->is_string()) return *found;
  throw input_error(where, fmt::format("field '{}' is no text", field));
}

}  // namespace

const char* prompt_field(const json& line) {
  for (const char* field : {"messages", "prompt", "question", "instruction", "text", "input_ids"}) {
    const auto found = line.find(field);
    if (found != line.end() && !found->is_null()) return field;
  }
  return nullptr;
}

// Without its number.
static Prompt parse_prompt(const json& line, const PromptOptions& options,
                           const Tokenizer& tokenizer, const std::string& where) {
  if (!line.is_object()) throw input_error(where, "the line is no JSON object");
  const char* field = prompt_field(line);
  if (field == nullptr) {
    throw input_error(
        where, "no prompt in the line",
        "give 'prompt', 'messages', 'question', 'instruction', 'text' or 'input_ids'");
  }
  const json& given = line[field];
  Prompt prompt;
  if (field == std::string_view("input_ids")) {
    prompt = ids_prompt(line, tokenizer, where);
  } else if (given.is_array()) {
    prompt = chat_prompt(parse_messages(given, where, field), options, tokenizer, where);
  } else if (given.is_string()) {
    std::string text = given;
    const auto input = line.find("input");
    if (field == std::string_view("instruction") && input != line.end() && input->is_string() &&
        !input->get_ref<const std::string&>().empty()) {
      text += "\n" + input->get<std::string>();
    }
    prompt = string_prompt(text, options, tokenizer, where);
  } else {
    throw input_error(where, fmt::format("field '{}' must be a string or a list of messages, and "
                                         "is {}",
                                         field, given.type_name()));
  }
  prompt.given = given;
  prompt.is_safety = is_safety_line(line);
  prompt.label = label_of(line, options.label_field, where);
  return prompt;
}

Prompt text_prompt(const std::string& text, const PromptOptions& options,
                   const Tokenizer& tokenizer) {
  Prompt prompt = string_prompt(text, options, tokenizer, "--prompt");
  prompt.given = text;
  return prompt;
}

PromptFile read_prompts(const std::string& path, const PromptOptions& options,
                        const Tokenizer& tokenizer,
                        const std::function<void(const Prompt&)>& check) {
  PromptFile file;
  JsonLines lines(path, options.skip_bad_lines);
  for (json line; lines.next(line);) {
    try {
      Prompt prompt = parse_prompt(line, options, tokenizer, lines.where());
      prompt.number =
          static_cast<uint32_t>(static_cast<int64_t>(file.prompts.size()) + lines.skipped());
      check(prompt);
      file.prompts.push_back(std::move(prompt));
    } catch (const Error& error) {
      lines.reject(error);
    }
  }
  file.skipped = lines.skipped();
  file.first_skipped = lines.first_skipped();
  return file;
}

int64_t longest_prompt(std::span<const Prompt> prompts) {
  int64_t longest = 0;
  for (const Prompt& prompt : prompts) {
    longest = std::max(longest, static_cast<int64_t>(prompt.ids.size()));
  }
  return longest;
}

int64_t context_needed(int64_t longest_prompt, int64_t max_new_tokens, int64_t max_context) {
  return std::min(longest_prompt + std::min(max_new_tokens, max_context), max_context);
}

}  // namespace cria
