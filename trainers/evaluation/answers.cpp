#include "trainers/evaluation/answers.h"

#include <CLI/CLI.hpp>
#include <filesystem>
#include <map>

#include "cria/data/records.h"

#include "trainers/signals.h"

namespace cria {

namespace {

using nlohmann::json;

template <typename T>
T optional_field(const json& line, const char* name, const T& otherwise, const std::string& where) {
  const auto found = line.find(name);
  if (found == line.end() || found->is_null()) return otherwise;
  try {
    return found->get<T>();
  } catch (const json::exception&) {
    throw input_error(where, fmt::format("field '{}' is wrong", name),
                      "as cria generate writes it");
  }
}

const json& prompt_of(const json& line, const std::string& where) {
  if (!line.is_object()) throw input_error(where, "the line is no JSON object");
  const char* field = prompt_field(line);
  if (field == nullptr) throw input_error(where, "no prompt in the line", "give 'prompt'");
  return line[field];
}

EvaluatedAnswer parse_answer(json line, const std::string& where) {
  EvaluatedAnswer answer{.prompt = prompt_of(line, where), .where = where};
  const auto completion = line.find("completion");
  if (completion == line.end() || !completion->is_string()) {
    throw input_error(where, "no answer in the line", "give 'completion', as cria generate does");
  }
  answer.completion = *completion;
  answer.ids = optional_field<std::vector<int32_t>>(line, "completion_ids", {}, where);
  answer.finished = optional_field(line, "finished_by_eos", true, where);
  if (line.contains("temperature")) {
    answer.temperature = optional_field(line, "temperature", 0.0, where);
  }
  for (const char* large : {"completion_ids", "prompt_ids", "logprobs"}) line.erase(large);
  answer.fields = std::move(line);
  return answer;
}

// A prompt as messages, without the answer that it may end with.
std::vector<Message> messages_to_answer(const json& prompt, const std::string& where) {
  std::vector<Message> messages;
  if (!prompt.is_string()) {
    messages = parse_messages(prompt, where, "prompt");
  } else if (const std::string text = prompt; is_anthropic_dialogue(text)) {
    messages = parse_anthropic_dialogue(text, where);
  } else {
    messages = {{"user", text}};
  }
  if (messages.size() > 1 && messages.back().role == "assistant") messages.pop_back();
  return messages;
}

}  // namespace

std::string EvaluatedAnswer::field(const std::string& name) const {
  const auto found = fields.find(name);
  if (found == fields.end() || found->is_null()) return {};
  return found->is_string() ? found->get<std::string>() : found->dump();
}

std::vector<EvaluatedAnswer> read_answers(const std::string& path) {
  std::vector<EvaluatedAnswer> answers;
  JsonLines lines(path);
  for (json line; lines.next(line);) {
    answers.push_back(parse_answer(std::move(line), lines.where()));
  }
  if (answers.empty()) throw input_error(path, "has no answers");
  return answers;
}

std::vector<Prompt> read_all_prompts(const std::vector<std::string>& paths,
                                     const PromptOptions& form, const Tokenizer& tokenizer,
                                     const std::function<void(const Prompt&)>& check) {
  std::vector<Prompt> all;
  for (const std::string& path : paths) {
    PromptFile file = read_prompts(path, form, tokenizer, check);
    if (file.prompts.empty()) throw input_error(path, "has no prompts");
    for (Prompt& prompt : file.prompts) {
      prompt.number = static_cast<uint32_t>(all.size());
      all.push_back(std::move(prompt));
    }
  }
  return all;
}

std::vector<EvaluatedAnswer> sample_answers(AnsweringModel& model, std::span<const Prompt> prompts,
                                            const SamplingSettings& settings, uint32_t samples) {
  std::vector<GenerationResult> results = model.answer(prompts, settings, samples);
  std::vector<EvaluatedAnswer> answers;
  for (size_t i = 0; i < results.size(); ++i) {
    if (!results[i].complete) throw CLI::RuntimeError(128 + stop_signal());
    const Prompt& prompt = prompts[i / samples];
    answers.push_back({.prompt = prompt.given,
                       .completion = model.completion_of(prompt, results[i]),
                       .ids = std::move(results[i].tokens),
                       .finished = results[i].finished_by_eos,
                       .temperature = double{settings.temperature},
                       .fields = json::object(),
                       .where = prompt.where});
    if (prompt.is_safety) answers.back().fields["category"] = "safety";
  }
  return answers;
}

void add_prompt_fields(std::vector<EvaluatedAnswer>& answers,
                       const std::vector<std::string>& prompt_files) {
  if (prompt_files.empty()) return;
  std::map<json, json> lines_by_prompt;
  for (const std::string& path : prompt_files) {
    std::string name = std::filesystem::path(path).filename().string();
    name = name.substr(0, name.find('.'));
    JsonLines lines(path);
    for (json line; lines.next(line);) {
      const json prompt = prompt_of(line, lines.where());
      line["file"] = name;
      lines_by_prompt.emplace(prompt, std::move(line));
    }
  }
  for (EvaluatedAnswer& answer : answers) {
    const auto found = lines_by_prompt.find(answer.prompt);
    if (found == lines_by_prompt.end()) {
      throw input_error(answer.where, "its prompt is in none of the files of prompts",
                        "name the file that it came from with --prompts");
    }
    for (const auto& [name, value] : found->second.items()) {
      if (!answer.fields.contains(name)) answer.fields[name] = value;
    }
  }
}

Example judged_sequence(const EvaluatedAnswer& answer, const std::optional<std::string>& separator,
                        const Tokenizer& tokenizer) {
  Example example;
  const json& prompt = answer.prompt;
  if (separator && prompt.is_string() && !is_anthropic_dialogue(prompt.get<std::string>())) {
    example.ids =
        encode_completion(tokenizer, prompt.get<std::string>(), *separator, answer.completion).ids;
  } else {
    std::vector<Message> messages = messages_to_answer(prompt, answer.where);
    messages.push_back({"assistant", answer.completion});
    example.ids = encode_dialogue(tokenizer, messages, answer.where).ids;
  }
  if (!answer.finished) example.ids.pop_back();
  example.labels.assign(example.ids.size(), kNoLabel);
  return example;
}

}  // namespace cria
