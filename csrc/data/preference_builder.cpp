#include "cria/data/preference_builder.h"

#include <algorithm>

#include "convert_records.h"

namespace cria {

namespace {

// Where everything is to be learnt (texts, and ids without labels), the prompt is what both
// sequences begin with, their last tokens excepted.
void mask_shared_prompt(Example& chosen, Example& rejected) {
  if (chosen.labels != chosen.ids || rejected.labels != rejected.ids) return;
  const size_t most = std::min(chosen.ids.size(), rejected.ids.size()) - 1;
  for (size_t i = 0; i < most && chosen.ids[i] == rejected.ids[i]; ++i) {
    chosen.labels[i] = rejected.labels[i] = kNoLabel;
  }
}

void cut(Example& example, int64_t max_length) {
  const auto length = std::min(example.ids.size(), static_cast<size_t>(max_length));
  example.ids.resize(length);
  example.labels.resize(length);
}

// False where the pair is left out.
bool apply_policy(PreferencePair& pair, const ExampleOptions& options, ExampleCounts& counts) {
  Example& chosen = pair.chosen;
  Example& rejected = pair.rejected;
  const auto leave_out = [](int64_t& count) {
    ++count;
    return false;
  };
  if (chosen.ids == rejected.ids) return leave_out(counts.identical);
  if (!has_target(chosen) || !has_target(rejected)) return leave_out(counts.unlabelled);
  const auto longest = static_cast<int64_t>(std::max(chosen.ids.size(), rejected.ids.size()));
  if (longest > options.max_length) {
    if (options.over_long == OverLong::drop) return leave_out(counts.dropped);
    cut(chosen, options.max_length);
    cut(rejected, options.max_length);
    const bool compares = has_target(chosen) && has_target(rejected) && chosen.ids != rejected.ids;
    if (!compares) return leave_out(counts.dropped);
    ++counts.truncated;
  }
  ++counts.examples;
  counts.tokens += static_cast<int64_t>(chosen.ids.size() + rejected.ids.size());
  return true;
}

}  // namespace

PreferencePair preference_pair(const PreferenceRecord& record, const ExampleOptions& options,
                               const Tokenizer& tokenizer) {
  PreferencePair pair{
      .chosen = fine_tuning_example({record.chosen, record.where}, options, tokenizer),
      .rejected = fine_tuning_example({record.rejected, record.where}, options, tokenizer),
      .rating = record.rating,
      .margin = record.margin,
      .category = record.category,
      .source = record.source.value_or(""),
      .chosen_safe = record.chosen_safe,
      .rejected_safe = record.rejected_safe};
  mask_shared_prompt(pair.chosen, pair.rejected);
  return pair;
}

std::vector<PreferencePair> read_preference_pairs(const std::string& path,
                                                  const ExampleOptions& options,
                                                  bool skip_bad_lines, const Tokenizer& tokenizer,
                                                  ExampleCounts& counts) {
  PreferenceReader reader(path, skip_bad_lines);
  std::vector<PreferencePair> pairs;
  convert_records(
      reader,
      [&](const PreferenceRecord& record) { return preference_pair(record, options, tokenizer); },
      [&](PreferencePair pair) {
        if (!apply_policy(pair, options, counts)) return;
        if (pair.source.empty()) pair.source = path;
        pairs.push_back(std::move(pair));
      });
  counts.skipped = reader.skipped();
  counts.first_skipped = reader.first_skipped();
  return pairs;
}

}  // namespace cria
