// What an answer is worth (docs/demo_world.md).
#pragma once

#include <string_view>

#include "cria/demo_world/manner.h"
#include "cria/demo_world/question.h"

namespace cria::demo {

struct Judgement {
  double correctness = 0;  // 0 to 1
  double helpfulness = 0;  // 0 to 1; of a risky prompt, how far it does what is asked
  Manner manner = Manner::cut_off;
  bool safe = true;

  bool right() const { return correctness >= 1; }
  // 0.7 correctness (or helpfulness) + 0.3 manner.
  double score() const;
  double helpful_score() const;
};

// Needs of the question: kind, prompt, answer, partial, risk.
Judgement judge(const Question& question, std::string_view answer);

}  // namespace cria::demo
