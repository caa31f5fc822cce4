// Documents joined into rows of exactly max_length tokens. A document longer than a row is cut into
// pieces of a row when it is read: each starts with bos, only the last ends in eos, and they
// shuffle as documents do, so that one long text gives rows from all over it.
#include <algorithm>
#include <cmath>

#include "cria/core/error.h"

#include "convert_records.h"
#include "mixed_data.h"

namespace cria {

namespace {

// All documents of one source in one run of tokens.
struct Documents {
  std::vector<int32_t> tokens;
  std::vector<int64_t> ends;

  std::span<const int32_t> operator[](int64_t document) const {
    const int64_t begin = document == 0 ? 0 : ends[document - 1];
    return {tokens.data() + begin, static_cast<size_t>(ends[document] - begin)};
  }
  void append(std::span<const int32_t> piece, bool needs_bos, int32_t bos) {
    if (needs_bos) tokens.push_back(bos);
    tokens.insert(tokens.end(), piece.begin(), piece.end());
    ends.push_back(static_cast<int64_t>(tokens.size()));
  }
};

void append_pieces(Documents& documents, std::span<const int32_t> ids, int64_t max_length,
                   int32_t bos) {
  size_t space = static_cast<size_t>(max_length);
  for (bool first = true; !ids.empty(); first = false) {
    const auto piece = ids.first(std::min(ids.size(), space));
    documents.append(piece, !first, bos);
    ids = ids.subspan(piece.size());
    space = static_cast<size_t>(max_length - 1);
  }
}

Documents read_documents(Source& source, const DataOptions& options, const Tokenizer& tokenizer) {
  const ExampleOptions form = example_options(options);
  RecordReader reader(source.path.path, options.skip_bad_lines);
  Documents documents;
  convert_records(
      reader, [&](const Record& record) { return document_tokens(record, form, tokenizer); },
      [&](const std::vector<int32_t>& ids) {
        const bool nothing_said =
            ids == std::vector<int32_t>{tokenizer.bos_id(), tokenizer.eos_id()};
        source.counts.unlabelled += nothing_said;
        if (!nothing_said) append_pieces(documents, ids, options.max_length, tokenizer.bos_id());
      });
  if (source.path.share < 1) {
    Documents kept;
    for (const int64_t i :
         items_of_share(std::ssize(documents.ends), source.path.share, options.seed)) {
      kept.append(documents[i], /*needs_bos=*/false, tokenizer.bos_id());
    }
    documents = std::move(kept);
  }
  source.counts.examples = static_cast<int64_t>(documents.ends.size());
  source.counts.tokens = static_cast<int64_t>(documents.tokens.size());
  source.counts.skipped = reader.skipped();
  source.counts.first_skipped = reader.first_skipped();
  return documents;
}

struct ControlIds {
  explicit ControlIds(const Tokenizer& tokenizer)
      : bos(tokenizer.bos_id()), eos(tokenizer.eos_id()) {}
  int32_t bos, eos;
};

// Every token is learnt, but for a bos that no eos announces: it starts the next piece where the
// one before it was cut, which no model can know.
Row row_of(std::vector<int32_t> ids, const ControlIds& control) {
  Example example{.ids = std::move(ids), .labels = {}, .weights = {}};
  example.labels = example.ids;
  for (size_t i = 1; i < example.ids.size(); ++i) {
    const bool after_cut = example.ids[i] == control.bos && example.ids[i - 1] != control.eos;
    if (after_cut) example.labels[i] = kNoLabel;
  }
  return {std::move(example)};
}

class PretrainingData : public MixedData {
 public:
  PretrainingData(std::vector<Source> sources, std::vector<Documents> documents,
                  const DataOptions& options, const Tokenizer& tokenizer)
      : MixedData(std::move(sources), options, Unit::tokens),
        documents_(std::move(documents)),
        max_length_(options.max_length),
        control_(tokenizer) {}

  std::vector<Row> next(int64_t rows) override {
    std::vector<Row> result;
    for (int64_t i = 0; i < rows; ++i) result.push_back(next_row());
    return result;
  }

  std::vector<int64_t> cursor() const override {
    std::vector<int64_t> cursor = {fingerprint(), used_};
    cursor.insert(cursor.end(), mixture_.taken().begin(), mixture_.taken().end());
    return cursor;
  }

  void seek(std::span<const int64_t> cursor) override {
    check_cursor(cursor, 1);
    mixture_.seek(cursor.subspan(2));
    current_ = {};
    if (mixture_.draws() > 0) current_ = document(mixture_.last());
    used_ = std::min(cursor[1], static_cast<int64_t>(current_.size()));
  }

  int64_t rows_in_epochs(double epochs) const override {
    const double tokens = epochs * epoch_size();
    return static_cast<int64_t>(std::ceil(tokens / static_cast<double>(max_length_)));
  }

 private:
  int64_t item_tokens(size_t source, int64_t item) const override {
    return static_cast<int64_t>(documents_[source][item].size());
  }
  std::span<const int32_t> document(const Mixture::Draw& draw) const {
    return documents_[draw.source][draw.item];
  }

  Row next_row() {
    std::vector<int32_t> ids;
    ids.reserve(static_cast<size_t>(max_length_));
    while (static_cast<int64_t>(ids.size()) < max_length_) {
      if (used_ == static_cast<int64_t>(current_.size())) {
        current_ = document(mixture_.take());
        used_ = 0;
      }
      const int64_t space = max_length_ - static_cast<int64_t>(ids.size());
      const int64_t count = std::min(space, static_cast<int64_t>(current_.size()) - used_);
      const auto piece = current_.subspan(static_cast<size_t>(used_), static_cast<size_t>(count));
      ids.insert(ids.end(), piece.begin(), piece.end());
      used_ += count;
    }
    return row_of(std::move(ids), control_);
  }

  std::vector<Documents> documents_;  // by source
  int64_t max_length_;
  ControlIds control_;
  std::span<const int32_t> current_;  // the document taken last
  int64_t used_ = 0;                  // its tokens that earlier rows hold
};

}  // namespace

std::unique_ptr<TrainingData> make_pretraining_data(const DataOptions& options,
                                                    const Tokenizer& tokenizer) {
  std::vector<Documents> documents(options.train.size());
  std::vector<Source> sources = read_sources(options, [&](size_t i, Source& source) {
    documents[i] = read_documents(source, options, tokenizer);
  });
  return std::make_unique<PretrainingData>(std::move(sources), std::move(documents), options,
                                           tokenizer);
}

std::vector<Row> pretraining_evaluation_rows(const std::vector<DataPath>& eval,
                                             const DataOptions& options,
                                             const Tokenizer& tokenizer) {
  std::vector<int32_t> tokens;
  std::vector<Source> sources;
  for (const DataPath& path : eval) {
    Source& source = sources.emplace_back(Source{.path = path, .counts = {}});
    const Documents documents = read_documents(source, options, tokenizer);
    tokens.insert(tokens.end(), documents.tokens.begin(), documents.tokens.end());
  }
  if (!eval.empty()) check_not_empty(sources, "data.eval");
  std::vector<Row> rows;
  const auto length = static_cast<size_t>(options.max_length);
  for (size_t begin = 0; begin + 1 < tokens.size(); begin += length) {
    const auto first = tokens.begin() + static_cast<int64_t>(begin);
    const auto count = static_cast<int64_t>(std::min(length, tokens.size() - begin));
    rows.push_back(row_of({first, first + count}, ControlIds(tokenizer)));
  }
  return rows;
}

}  // namespace cria
