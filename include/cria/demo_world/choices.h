// The draws of one line of one file of the demo world: position after position of one Philox
// stream, so that a line depends on nothing but (seed, file, line).
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "cria/core/random.h"

namespace cria::demo {

// What a stream of draws is for; the numbers are part of the files' bytes.
enum class Stream : uint32_t {
  split = 0,
  pretraining = 1,
  sft = 2,
  sft_clean = 3,
  sft_noisy = 4,
  prompts = 5,
  preferences_helpful = 6,
  preferences_helpful_test = 7,
  preferences_safety = 8,
  preferences_safety_test = 9,
  dialogues = 10,
  dialogues_test = 11,
  ratings = 12,
  test = 32,  // and one for each kind after it
};

class Choices {
 public:
  Choices(uint64_t seed, Stream stream, uint64_t line)
      : Choices(seed, static_cast<uint32_t>(stream), line) {}
  Choices(uint64_t seed, uint32_t stream, uint64_t line)
      : random_(seed, Purpose::data_synthesis, (uint64_t{stream} << 32) | line) {}

  size_t below(size_t bound) { return random_.below(bound, position_++); }
  bool chance(double probability) { return random_.uniform(position_++) < probability; }
  double normal() { return random_.normal(position_++); }

  template <typename List>
  const auto& one_of(const List& list) {
    return list[below(list.size())];
  }

  // Index i with probability weights[i] / sum.
  template <typename Weights>
  size_t weighted(const Weights& weights) {
    double sum = 0;
    for (const double weight : weights) sum += weight;
    double left = random_.uniform(position_++) * sum;
    for (size_t i = 0; i + 1 < weights.size(); ++i) {
      if (left < weights[i]) return i;
      left -= weights[i];
    }
    return weights.size() - 1;
  }

  template <typename List>
  void shuffle(List& list) {
    for (size_t i = list.size(); i > 1; --i) std::swap(list[i - 1], list[below(i)]);
  }

  // `count` different members of a list, in random order.
  template <typename List>
  auto some_of(const List& list, size_t count) {
    std::vector<size_t> indices;
    while (indices.size() < count) {
      const size_t index = below(list.size());
      bool known = false;
      for (const size_t other : indices) known = known || other == index;
      if (!known) indices.push_back(index);
    }
    std::vector<typename List::value_type> members;
    for (const size_t index : indices) members.push_back(list[index]);
    return members;
  }

 private:
  Random random_;
  uint64_t position_ = 0;
};

}  // namespace cria::demo
