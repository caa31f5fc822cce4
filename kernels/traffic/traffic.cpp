#include "kernels/traffic/traffic.h"

#include <algorithm>
#include <bit>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "cria/core/error.h"

#include "kernels/runtime/memory_emulated.h"
#include "kernels/traffic/counter.h"

namespace cria::emulated::traffic {

Global& Global::operator+=(const Global& other) {
  accesses += other.accesses;
  sectors += other.sectors;
  bytes += other.bytes;
  distinct += other.distinct;
  return *this;
}

Shared& Shared::operator+=(const Shared& other) {
  accesses += other.accesses;
  wavefronts += other.wavefronts;
  conflicts += other.conflicts;
  return *this;
}

Global LaunchTraffic::loads() const {
  Global sum;
  for (const Region& region : regions) sum += region.loads;
  return sum;
}

Global LaunchTraffic::stores() const {
  Global sum;
  for (const Region& region : regions) sum += region.stores;
  return sum;
}

Shared LaunchTraffic::shared(Access access) const {
  Shared sum;
  for (const Instruction& instruction : instructions) {
    if (instruction.access == access) sum += instruction.shared;
  }
  return sum;
}

Shared LaunchTraffic::shared() const {
  Shared sum = shared(Access::load);
  return sum += shared(Access::store);
}

namespace {

int64_t count_bits(const std::vector<std::atomic<uint64_t>>& words) {
  int64_t sum = 0;
  for (const auto& word : words) sum += std::popcount(word.load());
  return sum;
}

class Recorder : public Observer {
 public:
  void launch_begins(const Launch& launch) override {
    allocations_.clear();
    counters_.clear();
    ++epoch_;
    for (const auto& [data, bytes] : device_regions()) {
      allocations_.push_back(std::make_unique<Allocation>(data, bytes));
    }
    launches_.push_back({.kernel = launch.kernel, .where = launch.where});
  }

  void block_begins(const Block& block) override {
    thread_local ThreadCounter counter;
    thread_local uint64_t epoch = 0;
    if (epoch != epoch_) {
      epoch = epoch_;
      counter.launch_begins(allocations_);
      const std::lock_guard lock(mutex_);
      counters_.push_back(&counter);
    }
    counter.block_begins(block);
    running_counter = &counter;
  }

  void static_shared(const void* storage, size_t bytes) override {
    running_counter->static_shared(storage, bytes);
  }
  void access(Access access, const void* address, size_t bytes, const void* instruction) override {
    running_counter->access(access, address, bytes, instruction);
  }
  void warp_meets(int warp) override { running_counter->warp_meets(warp); }
  void block_ends() override {
    running_counter->block_ends();
    running_counter = nullptr;
  }

  // Sums only, so nothing depends on which thread of the host counted what.
  void launch_ends() override {
    LaunchTraffic& launch = launches_.back();
    std::map<InstructionKey, Instruction> instructions;
    for (const ThreadCounter* counter : counters_) {
      for (size_t i = 0; i < counter->keys().size(); ++i) {
        const Instruction& from = counter->counts()[i];
        Instruction& sum =
            instructions.try_emplace(counter->keys()[i], Instruction{}).first->second;
        sum.address = from.address;
        sum.access = from.access;
        sum.global += from.global;
        sum.shared += from.shared;
      }
    }
    for (const auto& [key, instruction] : instructions) launch.instructions.push_back(instruction);
    for (size_t i = 0; i < allocations_.size(); ++i) {
      const Allocation& allocation = *allocations_[i];
      Region region{.data = reinterpret_cast<const void*>(allocation.begin),
                    .bytes = allocation.end - allocation.begin};
      for (const ThreadCounter* counter : counters_) {
        region.loads += counter->regions()[i].loads;
        region.stores += counter->regions()[i].stores;
      }
      region.loads.distinct = count_bits(allocation.loaded);
      region.stores.distinct = count_bits(allocation.stored);
      if (region.loads.sectors + region.stores.sectors > 0) launch.regions.push_back(region);
    }
  }

  std::vector<LaunchTraffic> take() { return std::exchange(launches_, {}); }

 private:
  std::vector<LaunchTraffic> launches_;
  std::vector<std::unique_ptr<Allocation>> allocations_;
  std::mutex mutex_;
  std::vector<ThreadCounter*> counters_;  // that had blocks of this launch
  uint64_t epoch_ = 0;                    // counts launches
};

Recorder& recorder() {
  static Recorder instance;
  return instance;
}

}  // namespace

Counter::Counter() {
  CRIA_ASSERT(!observer);
  observer = &recorder();
}

Counter::~Counter() {
  take();
  observer = nullptr;
}

std::vector<LaunchTraffic> Counter::take() { return recorder().take(); }

}  // namespace cria::emulated::traffic
