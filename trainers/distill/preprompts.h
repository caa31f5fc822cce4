// Pre-prompts: what a prompt is sampled with and never trained with.
#pragma once

#include <string>
#include <vector>

#include "cria/text/tokenizer.h"

#include "trainers/distill/distill_config.h"
#include "trainers/prompts.h"

namespace cria {

// before: none. generic: a safety pre-prompt. answer_template: one that says how to answer prompts
// of that risk.
enum class PrepromptKind { before, generic, answer_template };
inline constexpr const char* kPrepromptNames[] = {"before", "generic", "template"};
const char* name_of(PrepromptKind kind);

// What one answer is sampled from.
struct Preprompted {
  PrepromptKind kind = PrepromptKind::before;
  std::string text;              // the pre-prompt; empty: none
  std::vector<int32_t> ids;      // to be continued
  std::vector<int32_t> opening;  // the end of `ids` that belongs to the answer
  uint64_t key = 0;              // of the answer's random numbers
};

class Preprompts {
 public:
  Preprompts(const DistillConfig& config, const Tokenizer& tokenizer)
      : config_(config), tokenizer_(tokenizer) {}

  // For each answer of the prompt what it is sampled from: once without a pre-prompt, then
  // num_samples times with a generic one, drawn by the prompt's number, then as often with the
  // template of its risk, where there is one.
  std::vector<Preprompted> of(const Prompt& prompt) const;
  // With every pre-prompt that the prompt might be given, whatever its number.
  std::vector<Preprompted> all(const Prompt& prompt) const;

 private:
  Preprompted with(const Prompt& prompt, PrepromptKind kind, const std::string& text) const;
  const std::string* template_of(const Prompt& prompt) const;

  const DistillConfig& config_;
  const Tokenizer& tokenizer_;
};

}  // namespace cria
