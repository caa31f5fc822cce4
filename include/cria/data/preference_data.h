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
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cria/data/training_data.h"

namespace cria {

// How much better the chosen answer is, best first (Llama 2, section 3.2.1).
enum class Rating { significantly_better, better, slightly_better, negligibly_better };
inline constexpr std::string_view kRatingNames[] = {"significantly_better", "better",
                                                    "slightly_better", "negligibly_better"};

enum class Category { helpful, safety };
inline constexpr std::string_view kCategoryNames[] = {"helpful", "safety"};

// A pair as models read it. Both sequences are whole: prompt, answer, eos. Labels stand on the
// answers (all that is not the prompt that both share) and their eos.
struct PreferencePair {
  Example chosen;
  Example rejected;
  std::optional<Rating> rating;
  std::optional<float> margin;  // of the line itself
  Category category = Category::helpful;
  std::string source;               // the line's, or the path of its file
  std::optional<bool> chosen_safe;  // labels of the auxiliary safety loss
  std::optional<bool> rejected_safe;
};

// A row of this data is one pair: chosen, then rejected, both with `item` set to the pair's number.
class PreferenceData : public TrainingData {
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
