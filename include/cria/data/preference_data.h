// Preferences: two answers to one prompt, and which of them is better. What reward models and DPO
// learn from.
//
//   {"prompt"?, "chosen", "rejected", "rating"? | "margin"?, "category"?, "source"?,
//    "chosen_safe"?, "rejected_safe"?}      strings or lists of messages; Anthropic's dialogues too
//   {"chosen_input_ids", "rejected_input_ids"}                          already tokenized
//
// docs/data.md has the details. A bad line is an input Error naming file, line and field.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "cria/data/preference_builder.h"
#include "cria/data/training_data.h"

namespace cria {

// A row of this data is one pair: chosen, then rejected, both with `item` set to the pair's number.
// Weights are shares of pairs, and epochs count pairs.
class PreferenceData : public virtual TrainingData {
 public:
  virtual const PreferencePair& pair(int64_t item) const = 0;
  virtual int64_t pair_count() const = 0;  // those of training, then those of evaluation
  // The pairs of data.eval once, in order.
  virtual std::vector<Row> evaluation_rows() const = 0;
};

std::unique_ptr<PreferenceData> make_preference_data(const DataOptions& options,
                                                     const std::vector<DataPath>& eval,
                                                     const Tokenizer& tokenizer);

}  // namespace cria
