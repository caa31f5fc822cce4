// What an op's kernels ask of memory beside what must move at least, held to both bounds and listed
// in docs/kernel_traffic.md.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "cria/ops/backend.h"

#include "traffic/counted.h"

namespace cria::testing {

Backend& backend();  // emulated

constexpr double kMostTraffic = 1.1;  // of the ideal

struct OpTraffic {
  std::string op;
  std::string sizes;
  // What must move at least: every input read once and every output written once. Memory that an
  // op updates counts twice.
  int64_t ideal_bytes;
  // Read by many blocks, or again by the same, and small enough for the caches: in `asked` they
  // count once.
  std::vector<Tensor> cached = {};

  std::vector<emulated::traffic::LaunchTraffic> launches = {};

  int64_t moved_bytes() const;   // from and to DRAM at least: the sectors of each launch, once
  int64_t asked_bytes() const;   // of L2, without what is read again of `cached`
  int64_t cached_bytes() const;  // what is read again of it
  emulated::traffic::Shared shared() const;
};

// Runs the op with its kernels counted; it gets a line of the table.
OpTraffic count_traffic(OpTraffic op, const std::function<void(Backend&)>& run);

// Both within kMostTraffic of the ideal.
void expect_streams(const OpTraffic& traffic);
// The sectors of each launch are: those of tiles that blocks share may be asked for again.
void expect_moves_once(const OpTraffic& traffic);
void expect_no_conflicts(const OpTraffic& traffic);

inline int64_t bytes_of(int64_t elements, DType dtype) {
  return elements * static_cast<int64_t>(size_of(dtype));
}
inline int64_t bytes_of(std::initializer_list<Tensor> tensors) {
  int64_t sum = 0;
  for (const Tensor& tensor : tensors) sum += static_cast<int64_t>(tensor.bytes());
  return sum;
}

// Ids of a vocabulary in which none comes twice before all have come.
inline std::vector<int32_t> spread_ids(int64_t count, int64_t vocab_size) {
  std::vector<int32_t> ids;
  for (int64_t t = 0; t < count; ++t) ids.push_back(static_cast<int32_t>(t * 7919 % vocab_size));
  return ids;
}

inline std::string name(DType dtype) { return std::string(name_of(dtype)); }

}  // namespace cria::testing
