// The answers to train on: for each prompt the best k of its candidates.
//
// Higher scores first; of equal ones the later iteration's, then the lower sample number, then the
// one that came first. Answers of the same text count once. Answers that were cut off (no eos) are
// candidates only where that is asked for.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "trainers/rejection/sample_pool.h"

namespace cria {

struct SelectionOptions {
  int64_t top = 1;  // k
  bool keep_truncated = false;
};

struct SelectionCounts {
  int64_t candidates = 0;  // those that were cut off included
  int64_t truncated = 0;   // cut off
  int64_t prompts = 0;
  int64_t without_answer = 0;  // prompts
  int64_t selected = 0;
  double mean_score = 0;  // of the selected; 0 where there are none
};

class Selection {
 public:
  explicit Selection(const SelectionOptions& options) : options_(options) {}

  void add(PooledSample&& sample);

  // Prompts in the order in which they came, answers from the best: {"input_ids", "labels"} with
  // labels on the answer alone, and score, iteration, prompt_number and sample for people.
  std::string lines() const;
  SelectionCounts counts() const;

 private:
  const SelectionOptions options_;
  std::map<std::vector<int32_t>, size_t> prompts_;  // by ids: their places in best_
  std::vector<std::vector<PooledSample>> best_;     // sorted, at most k each
  int64_t candidates_ = 0;
  int64_t truncated_ = 0;
};

}  // namespace cria
