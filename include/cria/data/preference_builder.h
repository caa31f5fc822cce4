// From a preference record to the two sequences that training sees.
//
// Both are built as fine-tuning's examples are (example_builder.h), so that labels stand on the
// answers with their eos and on nothing of the prompt that both share.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cria/data/example_builder.h"
#include "cria/data/preference_record.h"

namespace cria {

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

// The whole pair, however long, its source empty where the line names none. Throws an input Error
// as fine_tuning_example does.
PreferencePair preference_pair(const PreferenceRecord& record, const ExampleOptions& options,
                               const Tokenizer& tokenizer);

// All pairs of a file in order, tokenized on all cores. Left out and counted: pairs whose two
// sequences are the same; under OverLong::drop those with a sequence longer than max_length; under
// OverLong::truncate, which cuts answers, those whose prompt alone fills it.
std::vector<PreferencePair> read_preference_pairs(const std::string& path,
                                                  const ExampleOptions& options,
                                                  bool skip_bad_lines, const Tokenizer& tokenizer,
                                                  ExampleCounts& counts);

}  // namespace cria
