#include "cria/data/preference_data.h"

#include <cmath>

#include "cria/core/error.h"

#include "mixed_data.h"

namespace cria {

namespace {

class MixedPreferences : public MixedData, public PreferenceData {
 public:
  // `first_items`: the number of each source's first pair.
  MixedPreferences(std::vector<Source> sources, std::vector<PreferencePair> pairs,
                   std::vector<int64_t> first_items, int64_t training_pairs,
                   const DataOptions& options)
      : MixedData(std::move(sources), options, Unit::pairs),
        pairs_(std::move(pairs)),
        first_items_(std::move(first_items)),
        training_pairs_(training_pairs) {
    for (size_t i = 0; i < pairs_.size(); ++i) {
      pairs_[i].chosen.item = pairs_[i].rejected.item = static_cast<int64_t>(i);
    }
  }

  std::vector<Row> next(int64_t rows) override {
    std::vector<Row> result;
    for (int64_t i = 0; i < rows; ++i) {
      const Mixture::Draw draw = mixture_.take();
      result.push_back(row(first_items_[draw.source] + draw.item));
    }
    return result;
  }

  int64_t rows_in_epochs(double epochs) const override {
    return std::llround(epochs * epoch_size());
  }

  const PreferencePair& pair(int64_t item) const override {
    CRIA_ASSERT(item >= 0 && item < pair_count());
    return pairs_[static_cast<size_t>(item)];
  }
  int64_t pair_count() const override { return static_cast<int64_t>(pairs_.size()); }

  std::vector<Row> evaluation_rows() const override {
    std::vector<Row> rows;
    for (int64_t item = training_pairs_; item < pair_count(); ++item) rows.push_back(row(item));
    return rows;
  }

 private:
  int64_t item_tokens(size_t source, int64_t item) const override {
    const PreferencePair& drawn = pair(first_items_[source] + item);
    return static_cast<int64_t>(drawn.chosen.ids.size() + drawn.rejected.ids.size());
  }
  Row row(int64_t item) const { return {pair(item).chosen, pair(item).rejected}; }

  std::vector<PreferencePair> pairs_;
  std::vector<int64_t> first_items_;
  int64_t training_pairs_;
};

}  // namespace

std::unique_ptr<PreferenceData> make_preference_data(const DataOptions& options,
                                                     const std::vector<DataPath>& eval,
                                                     const Tokenizer& tokenizer) {
  const ExampleOptions form = example_options(options);
  std::vector<PreferencePair> pairs;
  const auto read = [&](Source& source) {
    std::vector<PreferencePair> more = read_preference_pairs(
        source.path.path, form, options.skip_bad_lines, tokenizer, source.counts);
    ExampleCounts& counts = source.counts;
    counts.examples = counts.tokens = 0;
    for (const int64_t i : items_of_share(std::ssize(more), source.path.share, options.seed)) {
      counts.tokens += std::ssize(more[i].chosen.ids) + std::ssize(more[i].rejected.ids);
      ++counts.examples;
      pairs.push_back(std::move(more[i]));
    }
  };
  std::vector<int64_t> first_items(options.train.size());
  std::vector<Source> sources = read_sources(options, [&](size_t i, Source& source) {
    first_items[i] = static_cast<int64_t>(pairs.size());
    read(source);
  });
  const auto training_pairs = static_cast<int64_t>(pairs.size());
  std::vector<Source> evaluation;
  for (const DataPath& path : eval)
    read(evaluation.emplace_back(Source{.path = path, .counts = {}}));
  if (!eval.empty()) check_not_empty(evaluation, "data.eval");
  return std::make_unique<MixedPreferences>(std::move(sources), std::move(pairs),
                                            std::move(first_items), training_pairs, options);
}

}  // namespace cria
