// One rank of several that are not there: what it would say to them, as a list of calls.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "cria/dist/reduction.h"

namespace cria::testing {

using Calls = std::vector<std::string>;

class RecordedCommunicator : public Communicator {
 public:
  RecordedCommunicator(Calls& calls, int rank, int size)
      : calls_(calls), rank_(rank), size_(size) {}
  int rank() const override { return rank_; }
  int size() const override { return size_; }
  void all_reduce_sum(Tensor tensor) override { add("sum of a tensor", tensor.size()); }
  void all_reduce_sum(std::span<double> values) override { add("sum of figures", values.size()); }
  void reduce_scatter_sum(Tensor output, Tensor) override { add("reduce_scatter", output.size()); }
  void all_gather(Tensor output, Tensor) override { add("all_gather", output.size()); }
  void broadcast(Tensor tensor, int) override { add("broadcast", tensor.size()); }
  void broadcast(std::span<std::byte> bytes, int) override { add("broadcast", bytes.size()); }
  void barrier() override { add("barrier", 0); }

 private:
  template <typename Size>
  void add(const char* call, Size size) {
    calls_.push_back(fmt::format("{} {}", call, size));
  }

  Calls& calls_;
  int rank_;
  int size_;
};

// Leaves the tensors as they are, and lets a test look at the moment of a start.
class RecordedReduction : public Reduction {
 public:
  explicit RecordedReduction(Calls& calls, std::function<void(Tensor)> started = {})
      : calls_(calls), started_(std::move(started)) {}
  std::string description() const override { return "recorded"; }
  void start(Tensor tensor) override {
    calls_.push_back(fmt::format("start {}", tensor.size()));
    if (started_) started_(tensor);
  }
  void finish() override { calls_.push_back("finish"); }

 private:
  Calls& calls_;
  std::function<void(Tensor)> started_;
};

}  // namespace cria::testing
