// Answers to be evaluated: from files, as `generate` and `rejection` write them, or sampled now.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "cria/data/example.h"

#include "trainers/answering_model.h"

namespace cria {

struct EvaluatedAnswer {
  nlohmann::json prompt;  // as its file had it: a string or a list of messages
  std::string completion;
  std::vector<int32_t> ids;  // of the completion, as they were sampled; empty: not known
  bool finished = true;      // by its eos, not cut off
  std::optional<double> temperature;
  nlohmann::json fields;  // what else its line says: category, kind, …
  std::string where;      // FILE:LINE of the answer, or of its prompt

  bool is_safety() const { return field("category") == "safety"; }
  // A field as text; empty where there is none.
  std::string field(const std::string& name) const;
};

// Lines with a prompt (prompts.h) and {"completion", "completion_ids"?, "finished_by_eos"?,
// "temperature"?}. An input Error names the line and the field; a file without lines is one too.
std::vector<EvaluatedAnswer> read_answers(const std::string& path);

// All prompts of some files, numbered through.
std::vector<Prompt> read_all_prompts(const std::vector<std::string>& paths,
                                     const PromptOptions& form, const Tokenizer& tokenizer,
                                     const std::function<void(const Prompt&)>& check);

// `samples` answers to each prompt, one after the other. A signal ends the command.
std::vector<EvaluatedAnswer> sample_answers(AnsweringModel& model, std::span<const Prompt> prompts,
                                            const SamplingSettings& settings, uint32_t samples);

// Gives answers the fields of the lines that their prompts came from, where their own lines do not
// have them, and the field "file": the prompts' file without its directory and ending. An input
// Error names an answer whose prompt is in none of the files. No files: nothing to do.
void add_prompt_fields(std::vector<EvaluatedAnswer>& answers,
                       const std::vector<std::string>& prompt_files);

// Prompt and answer as a reward model learns them (data/preference_builder.h), in the chat format,
// or with a separator in the plain form; without an eos where the answer was cut off.
Example judged_sequence(const EvaluatedAnswer& answer, const std::optional<std::string>& separator,
                        const Tokenizer& tokenizer);

}  // namespace cria
