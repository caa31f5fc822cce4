// Context distillation of safety (Llama 2, section 4.2.4): answers sampled with a safety pre-prompt
// are learnt without it, where a safety reward model scores them above the answer without.
// docs/context_distillation.md has the method; trainers/distill/ the parts.
#pragma once

#include "trainers/distill/distill_config.h"

namespace cria {

// What a run does, in order.
enum class DistillStep {
  all,
  sample,    // pool.jsonl: answers without and with pre-prompts, and their scores
  examples,  // distilled.jsonl: what is learnt; before_after.*, summary.json
  train,
};
DistillStep parse_distill_step(const std::string& name);

int distill(const DistillConfig& config, const std::string& resolved_config, DistillStep step);

}  // namespace cria
