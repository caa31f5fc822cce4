// What people want to know of a pool: scores before and after, by risk and by sort of pre-prompt.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "cria/report/plot.h"

#include "trainers/distill/distill_pool.h"

namespace cria {

// Of the prompts of one risk, or of all, and of the answers with one sort of pre-prompt, or of all.
struct DistillFigures {
  std::string risk = "all";
  std::string kind = "all";  // all, generic, template
  int64_t prompts = 0;       // that were answered with it
  double mean_before = 0;    // of their scores without a pre-prompt
  double mean_after = 0;     // over these prompts, of the mean over their answers with it
  int64_t risen = 0;         // prompts whose best answer with it scores above the one before
  int64_t learnt = 0;        // prompts that such an answer is learnt for
  int64_t cut_off = 0;       // answers without an eos,
};

// All risks first, each with all sorts of pre-prompts first.
std::vector<DistillFigures> distill_figures(std::span<const DistillPrompt> pool);

nlohmann::ordered_json to_json(const std::vector<DistillFigures>& figures);
std::string table(const std::vector<DistillFigures>& figures);

// A line of before_after.jsonl: the scores of one prompt.
std::string scores_line(const DistillPrompt& prompt);
// A line of distilled.jsonl: the prompt without a pre-prompt and the answer as it was sampled, with
// labels on the answer alone.
std::string training_line(const DistillPrompt& prompt, const DistillAnswer& answer);

// The score of the best answer with each sort of pre-prompt over that of the answer before, and
// where both are equal. Answers above the line are learnt, but for those below another of theirs.
Plot before_after_plot(std::span<const DistillPrompt> pool);

}  // namespace cria
