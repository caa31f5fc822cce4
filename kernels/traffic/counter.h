// The counters of one thread of the host, and what instrumented code calls.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <unordered_map>
#include <vector>

#include "kernels/emulator/block.h"
#include "kernels/traffic/traffic.h"
#include "kernels/traffic/warp_access.h"

namespace cria::emulated::traffic {

// Memory that a launch may use, with the sectors that it touched.
struct Allocation {
  uintptr_t begin, end;
  std::vector<std::atomic<uint64_t>> loaded, stored;  // a bit a sector

  Allocation(const void* data, size_t bytes);
};

struct InstructionKey {
  const void* address;
  Access access;
  bool is_shared;

  auto operator<=>(const InstructionKey&) const = default;
};

struct InstructionHash {
  size_t operator()(const InstructionKey& key) const {
    return std::hash<const void*>()(key.address) * 4 + 2 * (key.access == Access::store) +
           key.is_shared;
  }
};

class ThreadCounter {
 public:
  struct RegionCount {
    Global loads, stores;
  };

  void launch_begins(std::vector<std::unique_ptr<Allocation>>& allocations);
  void block_begins(const Block& block);
  void static_shared(const void* storage, size_t bytes);
  void access(Access access, const void* address, size_t bytes, const void* instruction);
  void warp_meets(int warp);
  void block_ends();

  const std::vector<InstructionKey>& keys() const { return keys_; }
  const std::vector<Instruction>& counts() const { return counts_; }  // of the keys
  const std::vector<RegionCount>& regions() const { return regions_; }

 private:
  struct Range {
    uintptr_t begin, end;
    bool holds(uintptr_t address) const { return address - begin < end - begin; }
  };
  // Accesses of a warp to one instruction that not all lanes have come to.
  struct Pending {
    std::array<uint32_t, kLanes> executed = {};
    std::vector<WarpAccess> open;
    size_t complete = 0;  // of these
    uint32_t before = 0;  // executed by all lanes earlier than the first open one
  };

  bool is_shared(uintptr_t address) const;
  int allocation_of(uintptr_t address);
  size_t instruction_of(const InstructionKey& key);
  Pending& pending(size_t instruction, int warp);
  void count(size_t instruction, const WarpAccess& access);

  const Block* block_ = nullptr;
  Range dynamic_shared_ = {};
  std::vector<Range> static_shared_;
  std::vector<std::unique_ptr<Allocation>>* allocations_ = nullptr;
  int last_allocation_ = 0;

  std::unordered_map<InstructionKey, size_t, InstructionHash> index_;
  std::vector<InstructionKey> keys_;
  std::vector<Instruction> counts_;
  std::vector<RegionCount> regions_;
  std::array<std::vector<Pending>, Block::kMaxThreads / kLanes> pending_;  // by instruction
  std::array<std::vector<size_t>, Block::kMaxThreads / kLanes> touched_;   // since the last meeting
  std::vector<uintptr_t> sectors_;
};

// That of the block that this thread of the host runs, while it is counted.
inline thread_local constinit ThreadCounter* running_counter = nullptr;

}  // namespace cria::emulated::traffic
