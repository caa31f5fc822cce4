// The stream of rows that training reads: global, endless, the same for any number of ranks, and
// resumable from a few integers.
//
// Pretraining joins documents into rows of exactly max_length tokens. Fine-tuning packs whole
// examples into rows of up to max_length tokens (next fit), each a sequence of its own. Which
// source comes next, and the order within a source in each epoch, are functions of (seed, purpose,
// draw or epoch) alone.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cria/data/data_path.h"
#include "cria/data/example.h"
#include "cria/data/example_builder.h"
#include "cria/text/tokenizer.h"

namespace cria {

// Sequences that fill one row of up to max_length tokens; one example where packing is off.
using Row = std::vector<Example>;

class TrainingData {
 public:
  virtual ~TrainingData() = default;

  virtual std::vector<Row> next(int64_t rows) = 0;
  virtual std::vector<int64_t> cursor() const = 0;
  // Continues where cursor() was taken; a cursor of other sources is an input Error.
  virtual void seek(std::span<const int64_t> cursor) = 0;
  // How many rows that many epochs give (DataOptions::epoch).
  virtual int64_t rows_in_epochs(double epochs) const = 0;
  // One line per source: examples, tokens, epochs so far, dropped, truncated, skipped.
  virtual std::string report() const = 0;
};

struct DataOptions {
  std::vector<DataPath> train;
  bool shuffle = true;
  int64_t max_length = 4096;
  bool packing = true;             // fine-tuning; pretraining always packs
  std::string over_long = "drop";  // or truncate; fine-tuning
  bool skip_bad_lines = false;
  // How long the mixture runs in one epoch, in tokens (pretraining), examples or pairs. total: as
  // many as all files hold together, whatever the share of each. first_exhausted, all_exhausted:
  // until, at its share, the first or the last file has been gone through once.
  std::string epoch = "total";
  // weights: the share of each file in the stream is its weight. sizes: its weight times what it
  // holds, so that files of weight 1 are gone through equally often.
  std::string mixing = "weights";
  uint64_t seed = 0;
  Targets targets = Targets::all;
  std::optional<std::string> separator;  // plain prompt/completion form instead of the chat format
};

std::unique_ptr<TrainingData> make_pretraining_data(const DataOptions& options,
                                                    const Tokenizer& tokenizer);
std::unique_ptr<TrainingData> make_sft_data(const DataOptions& options, const Tokenizer& tokenizer);

// Mixed, shuffled and packed as fine-tuning data, of examples that the caller reads: those of one
// file, counted, none longer than max_length.
using ExampleReader =
    std::function<std::vector<Example>(const std::string& path, ExampleCounts& counts)>;
std::unique_ptr<TrainingData> make_example_data(const DataOptions& options,
                                                const ExampleReader& read);

// All rows of the files in `eval` once, in order; none where there are no files. Of `options`, only
// what shapes rows counts. The last row of pretraining may be shorter than max_length.
std::vector<Row> pretraining_evaluation_rows(const std::vector<DataPath>& eval,
                                             const DataOptions& options,
                                             const Tokenizer& tokenizer);
std::vector<Row> sft_evaluation_rows(const std::vector<DataPath>& eval, const DataOptions& options,
                                     const Tokenizer& tokenizer);

}  // namespace cria
