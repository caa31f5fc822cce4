// Whole examples packed into rows of up to max_length tokens by next fit, in the order in which the
// mixture gives them: an example that does not fit any more starts the next row.
#include <cmath>

#include "cria/core/error.h"

#include "mixed_data.h"

namespace cria {

namespace {

class SftData : public MixedData {
 public:
  SftData(std::vector<Source> sources, std::vector<std::vector<Example>> examples,
          const DataOptions& options)
      : MixedData(std::move(sources), options, Unit::examples),
        examples_(std::move(examples)),
        max_length_(options.max_length),
        packing_(options.packing) {}

  std::vector<Row> next(int64_t rows) override {
    std::vector<Row> result(static_cast<size_t>(rows));
    for (Row& row : result) {
      fill_row(mixture_, [&](const Mixture::Draw& draw) {
        row.push_back(examples_[draw.source][draw.item]);
        return true;
      });
    }
    return result;
  }

  // Goes through the examples from the start, for how they fall into rows depends on their order.
  int64_t rows_in_epochs(double epochs) const override {
    int64_t left = std::llround(epochs * epoch_size());
    Mixture mixture = mixture_;
    mixture.seek(std::vector<int64_t>(sources_.size(), 0));
    int64_t rows = 0;
    for (; left > 0; ++rows) fill_row(mixture, [&](const Mixture::Draw&) { return --left > 0; });
    return rows;
  }

 private:
  int64_t item_tokens(size_t source, int64_t item) const override {
    return static_cast<int64_t>(examples_[source][item].ids.size());
  }

  // Takes the draws of one row; visit(draw) says whether to go on.
  template <typename Visit>
  void fill_row(Mixture& mixture, const Visit& visit) const {
    for (int64_t used = 0;;) {
      const Mixture::Draw draw = mixture.peek();
      const int64_t tokens = item_tokens(draw.source, draw.item);
      if (used > 0 && (!packing_ || used + tokens > max_length_)) return;
      mixture.take();
      used += tokens;
      if (!visit(draw)) return;
    }
  }

  std::vector<std::vector<Example>> examples_;  // by source
  int64_t max_length_;
  bool packing_;
};

std::vector<Example> share_of(std::vector<Example> all, Source& source, uint64_t seed) {
  if (source.path.share >= 1) return all;
  std::vector<Example> kept;
  source.counts.tokens = 0;
  for (const int64_t i : items_of_share(std::ssize(all), source.path.share, seed)) {
    source.counts.tokens += std::ssize(all[i].ids);
    kept.push_back(std::move(all[i]));
  }
  source.counts.examples = std::ssize(kept);
  return kept;
}

}  // namespace

std::unique_ptr<TrainingData> make_example_data(const DataOptions& options,
                                                const ExampleReader& read) {
  std::vector<std::vector<Example>> examples(options.train.size());
  std::vector<Source> sources = read_sources(options, [&](size_t i, Source& source) {
    examples[i] = share_of(read(source.path.path, source.counts), source, options.seed);
  });
  return std::make_unique<SftData>(std::move(sources), std::move(examples), options);
}

std::unique_ptr<TrainingData> make_sft_data(const DataOptions& options,
                                            const Tokenizer& tokenizer) {
  const ExampleOptions form = example_options(options);
  return make_example_data(options, [&](const std::string& path, ExampleCounts& counts) {
    return read_fine_tuning_examples(path, form, options.skip_bad_lines, tokenizer, counts);
  });
}

std::vector<Row> sft_evaluation_rows(const std::vector<DataPath>& eval, const DataOptions& options,
                                     const Tokenizer& tokenizer) {
  std::vector<Row> rows;
  std::vector<Source> sources;
  int64_t used = options.max_length;  // of the last row
  for (const DataPath& path : eval) {
    Source& source = sources.emplace_back(Source{.path = path, .counts = {}});
    for (Example& example :
         share_of(read_fine_tuning_examples(path.path, example_options(options),
                                            options.skip_bad_lines, tokenizer, source.counts),
                  source, options.seed)) {
      const auto tokens = static_cast<int64_t>(example.ids.size());
      if (!options.packing || used + tokens > options.max_length) {
        rows.emplace_back();
        used = 0;
      }
      rows.back().push_back(std::move(example));
      used += tokens;
    }
  }
  if (!eval.empty()) check_not_empty(sources, "data.eval");
  return rows;
}

}  // namespace cria
