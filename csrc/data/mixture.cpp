#include "mixture.h"

#include <algorithm>
#include <numeric>

#include "cria/core/error.h"
#include "cria/core/random.h"

namespace cria {

Mixture::Mixture(std::vector<int64_t> item_counts, const std::vector<double>& shares, bool shuffle,
                 uint64_t seed)
    : item_counts_(std::move(item_counts)),
      cumulative_(shares.size()),
      shuffle_(shuffle),
      seed_(seed),
      taken_(shares.size(), 0),
      orders_(shares.size()) {
  std::partial_sum(shares.begin(), shares.end(), cumulative_.begin());
  const double total = cumulative_.back();
  CRIA_ASSERT(total > 0);
  for (double& share : cumulative_) share /= total;
}

int64_t Mixture::draws() const { return std::accumulate(taken_.begin(), taken_.end(), int64_t{0}); }

// The first source whose cumulative share lies above the number, which is below 1: so never a
// source of share 0.
size_t Mixture::source_of(int64_t draw) const {
  const float number = Random(seed_, Purpose::data_mixture).uniform(static_cast<uint64_t>(draw));
  const auto found = std::upper_bound(cumulative_.begin(), cumulative_.end(), double{number});
  return static_cast<size_t>(found - cumulative_.begin());
}

const std::vector<int64_t>& Mixture::order(size_t source, int64_t epoch) {
  Order& order = orders_[source];
  if (order.epoch == epoch) return order.items;
  order.epoch = epoch;
  order.items.resize(static_cast<size_t>(item_counts_[source]));
  std::iota(order.items.begin(), order.items.end(), int64_t{0});
  if (!shuffle_) return order.items;
  const Random random(seed_, Purpose::data_shuffle,
                      (uint64_t{source} << 32) | static_cast<uint64_t>(epoch));
  for (size_t i = order.items.size(); i > 1; --i) {  // Fisher and Yates
    std::swap(order.items[i - 1], order.items[random.below(i, i)]);
  }
  return order.items;
}

int64_t Mixture::item(size_t source, int64_t position) {
  const int64_t count = item_counts_[source];
  return order(source, position / count)[static_cast<size_t>(position % count)];
}

Mixture::Draw Mixture::peek() {
  const size_t source = source_of(draws());
  return {source, item(source, taken_[source])};
}

Mixture::Draw Mixture::take() {
  const Draw draw = peek();
  ++taken_[draw.source];
  return draw;
}

Mixture::Draw Mixture::last() {
  const size_t source = source_of(draws() - 1);
  return {source, item(source, taken_[source] - 1)};
}

void Mixture::seek(std::span<const int64_t> taken) {
  CRIA_ASSERT(taken.size() == taken_.size());
  taken_.assign(taken.begin(), taken.end());
}

}  // namespace cria
