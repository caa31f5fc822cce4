// Which item of which source comes next: the order behind both kinds of training data.
//
// Draw n takes its source from Random(seed, data_mixture) at position n; within a source, epoch e
// goes through all items in an order shuffled by Random(seed, data_shuffle, (source, e)). Where the
// stream stands is therefore one count per source.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace cria {

class Mixture {
 public:
  struct Draw {
    size_t source = 0;
    int64_t item = 0;
  };

  // `shares` are probabilities up to a factor; a source of share 0 never comes.
  Mixture(std::vector<int64_t> item_counts, const std::vector<double>& shares, bool shuffle,
          uint64_t seed);

  Draw peek();  // the next draw
  Draw take();  // the same, and on to the one after
  Draw last();  // the draw taken last; there must have been one

  int64_t draws() const;
  const std::vector<int64_t>& taken() const { return taken_; }  // items of each source so far
  void seek(std::span<const int64_t> taken);

  int64_t item_count(size_t source) const { return item_counts_[source]; }
  // The items of one epoch in the order in which they come.
  const std::vector<int64_t>& order(size_t source, int64_t epoch);

 private:
  struct Order {
    int64_t epoch = -1;
    std::vector<int64_t> items;
  };
  size_t source_of(int64_t draw) const;
  int64_t item(size_t source, int64_t position);

  std::vector<int64_t> item_counts_;
  std::vector<double> cumulative_;  // shares of sources 0 … i, the last being 1
  bool shuffle_;
  uint64_t seed_;
  std::vector<int64_t> taken_;
  std::vector<Order> orders_;
};

}  // namespace cria
