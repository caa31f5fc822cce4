// The pool of a distillation: every prompt with all that was answered to it, without a pre-prompt
// and with one, and what the safety reward model says of each answer behind the prompt alone. JSON
// Lines that only ever grow, a prompt a line.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "trainers/distill/preprompts.h"
#include "trainers/reward_models.h"

namespace cria {

struct DistillAnswer {
  PrepromptKind kind = PrepromptKind::before;
  std::string preprompt;
  std::string completion;    // text, for people
  std::vector<int32_t> ids;  // as sampled, with the opening that it was given and its eos
  bool finished_by_eos = false;
  float safety = 0;  // raw score behind the prompt without the pre-prompt
};

struct DistillPrompt {
  int64_t number = 0;    // over all prompt files, from 0
  nlohmann::json given;  // as its file had it
  bool is_safety = false;
  std::string risk;
  std::vector<int32_t> ids;            // without a pre-prompt
  std::vector<DistillAnswer> answers;  // the first one is that before
  bool keep_truncated = false;         // answers that were cut off may be learnt too

  const DistillAnswer& before() const { return answers.front(); }
  // Prompt and answer as the reward model reads them, and as they are learnt.
  std::vector<int32_t> sequence(const DistillAnswer& answer) const;
  // The answer with a pre-prompt of a kind, or of any, that has the highest score; of equal ones
  // the first. Of those that may be learnt; nullptr: there is none.
  const DistillAnswer* best(std::optional<PrepromptKind> kind = {}) const;
  // What is learnt: the best answer, where its score is above that of the answer before.
  const DistillAnswer* learnt() const;
};

std::string to_line(const DistillPrompt& prompt);
// An input Error that names `where` when something is missing or wrong.
DistillPrompt parse_distill_prompt(const nlohmann::json& line, const std::string& where);

std::vector<DistillPrompt> read_distill_pool(const std::string& path, bool keep_truncated);

// How many of the prompts stand in a pool that may have been interrupted, in their order, as whole
// lines.
struct StandingPrompts {
  int64_t prompts = 0;
  int64_t bytes = 0;
};
StandingPrompts standing_prompts(const std::string& path, std::span<const Prompt> prompts);

}  // namespace cria
