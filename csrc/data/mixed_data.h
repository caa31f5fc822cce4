// What pretraining and fine-tuning data share: sources, their mixture and the report on them.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "cria/data/training_data.h"

#include "mixture.h"

namespace cria {

struct Source {
  DataPath path;
  ExampleCounts counts;
};

// Which of `count` items a share of a source keeps: the first of an order that the seed draws, so
// that a larger share holds every smaller one; at least one unless the share is 0. In the order of
// the file.
std::vector<int64_t> items_of_share(int64_t count, double share, uint64_t seed);

// Checks paths, weights and shares of data.train, and reads every file that is not left out with
// read(index, source), which fills in the counts.
std::vector<Source> read_sources(const DataOptions& options,
                                 const std::function<void(size_t, Source&)>& read);

// Checks max_length and over_long.
ExampleOptions example_options(const DataOptions& options);

// No tokens to learn in any of the files: an input Error that says what became of their lines.
void check_not_empty(const std::vector<Source>& sources, const std::string& key);

// DataOptions::epoch.
enum class EpochRule { total, first_exhausted, all_exhausted };

class MixedData : public virtual TrainingData {
 public:
  std::string report() const override;
  // How many items of each source were taken: all that there is to say where rows are whole items.
  std::vector<int64_t> cursor() const override;
  void seek(std::span<const int64_t> cursor) override;

 protected:
  // What weights are shares of and epochs count; reports name items by it too.
  enum class Unit { tokens, examples, pairs };
  MixedData(std::vector<Source> sources, const DataOptions& options, Unit unit);

  virtual int64_t item_tokens(size_t source, int64_t item) const = 0;

  // Of one epoch, as DataOptions::epoch says, in tokens or items.
  double epoch_size() const;
  // What cursors start with, so that a cursor of other data is noticed: all tokens.
  int64_t fingerprint() const;
  void check_cursor(std::span<const int64_t> cursor, size_t own) const;

  std::vector<Source> sources_;
  mutable Mixture mixture_;  // keeps the orders that it has worked out

 private:
  Unit unit_;
  EpochRule epoch_;
};

}  // namespace cria
