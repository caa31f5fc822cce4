#include "kernels/traffic/counter.h"

#include <algorithm>
#include <bit>

namespace cria::emulated::traffic {

Allocation::Allocation(const void* data, size_t bytes)
    : begin(reinterpret_cast<uintptr_t>(data)),
      end(begin + bytes),
      loaded(bytes / kSectorBytes / 64 + 1),
      stored(loaded.size()) {}

// --- One thread of the host. ---

void ThreadCounter::launch_begins(std::vector<std::unique_ptr<Allocation>>& allocations) {
  allocations_ = &allocations;
  last_allocation_ = 0;
  regions_.assign(allocations.size(), {});
  index_.clear();
  keys_.clear();
  counts_.clear();
  for (auto& of_warp : pending_) of_warp.clear();
}

void ThreadCounter::block_begins(const Block& block) {
  block_ = &block;
  const auto begin = reinterpret_cast<uintptr_t>(block.dynamic_shared());
  dynamic_shared_ = {begin, begin + block.dynamic_shared_bytes()};
  static_shared_.clear();
}

void ThreadCounter::static_shared(const void* storage, size_t bytes) {
  const auto begin = reinterpret_cast<uintptr_t>(storage);
  static_shared_.push_back({begin, begin + bytes});
}

bool ThreadCounter::is_shared(uintptr_t address) const {
  return dynamic_shared_.holds(address) ||
         std::any_of(static_shared_.begin(), static_shared_.end(),
                     [=](const Range& range) { return range.holds(address); });
}

// -1: none.
int ThreadCounter::allocation_of(uintptr_t address) {
  const auto holds = [&](const std::unique_ptr<Allocation>& a) {
    return address >= a->begin && address < a->end;
  };
  const auto& all = *allocations_;
  if (all.empty()) return -1;
  if (holds(all[static_cast<size_t>(last_allocation_)])) return last_allocation_;
  const auto found = std::find_if(all.begin(), all.end(), holds);
  if (found == all.end()) return -1;
  return last_allocation_ = static_cast<int>(found - all.begin());
}

size_t ThreadCounter::instruction_of(const InstructionKey& key) {
  const auto [place, is_new] = index_.try_emplace(key, counts_.size());
  if (is_new) {
    keys_.push_back(key);
    counts_.push_back({.address = key.address, .access = key.access});
  }
  return place->second;
}

ThreadCounter::Pending& ThreadCounter::pending(size_t instruction, int warp) {
  auto& of_warp = pending_[static_cast<size_t>(warp)];
  if (instruction >= of_warp.size()) of_warp.resize(counts_.size());
  return of_warp[instruction];
}

void ThreadCounter::access(Access access, const void* pointer, size_t bytes,
                           const void* instruction) {
  const auto address = reinterpret_cast<uintptr_t>(pointer);
  const bool shared = is_shared(address);
  if (!shared && allocation_of(address) < 0) return;  // a stack, or the emulator's own
  const int warp = block_->thread() / kLanes, lane = block_->lane();
  const size_t index = instruction_of({instruction, access, shared});
  Pending& p = pending(index, warp);
  if (p.open.empty() && p.before == 0) touched_[static_cast<size_t>(warp)].push_back(index);
  const uint32_t at = p.executed[static_cast<size_t>(lane)]++ - p.before;
  if (at == p.open.size()) p.open.emplace_back().bytes = bytes;
  WarpAccess& whole = p.open[at];
  whole.lanes |= 1u << lane;
  whole.addresses[static_cast<size_t>(lane)] = address;
  whole.bytes = std::max(whole.bytes, bytes);

  const int lanes = std::min(kLanes, block_->threads() - warp * kLanes);
  if (whole.lanes != ~0u >> (kLanes - lanes)) return;
  count(index, whole);
  whole.lanes = 0;
  if (++p.complete < p.open.size()) return;
  p.before += static_cast<uint32_t>(p.open.size());
  p.open.clear();
  p.complete = 0;
}

void ThreadCounter::warp_meets(int warp) {
  auto& touched = touched_[static_cast<size_t>(warp)];
  for (const size_t index : touched) {
    Pending& p = pending(index, warp);
    for (const WarpAccess& access : p.open) {
      if (access.lanes != 0) count(index, access);
    }
    p.executed.fill(0);
    p.open.clear();
    p.complete = 0;
    p.before = 0;
  }
  touched.clear();
}

void ThreadCounter::block_ends() {
  for (int warp = 0; warp * kLanes < block_->threads(); ++warp) warp_meets(warp);
  block_ = nullptr;
}

void ThreadCounter::count(size_t instruction, const WarpAccess& access) {
  Instruction& counts = counts_[instruction];
  if (keys_[instruction].is_shared) {
    const Wavefronts wavefronts = count_wavefronts(access);
    counts.shared += {1, wavefronts.total, wavefronts.total - wavefronts.phases};
    return;
  }
  find_sectors(access, sectors_);
  const Global traffic{.accesses = 1,
                       .sectors = static_cast<int64_t>(sectors_.size()),
                       .bytes = static_cast<int64_t>(access.bytes) * std::popcount(access.lanes)};
  counts.global += traffic;
  const bool loads = counts.access == Access::load;
  // Lanes may be in several allocations: a sector counts where it lies, the access where the first
  // does.
  int first = -1;
  for (const uintptr_t sector : sectors_) {
    const int owner = allocation_of(sector * kSectorBytes);
    if (owner < 0) continue;
    if (first < 0) first = owner;
    Allocation& allocation = *(*allocations_)[static_cast<size_t>(owner)];
    const size_t bit = sector - allocation.begin / kSectorBytes;
    std::atomic<uint64_t>& word = (loads ? allocation.loaded : allocation.stored)[bit / 64];
    const uint64_t mask = uint64_t{1} << bit % 64;
    if (!(word.load(std::memory_order_relaxed) & mask)) word |= mask;
    RegionCount& region = regions_[static_cast<size_t>(owner)];
    ++(loads ? region.loads : region.stores).sectors;
  }
  if (first < 0) return;
  RegionCount& region = regions_[static_cast<size_t>(first)];
  Global& of_region = loads ? region.loads : region.stores;
  of_region.accesses += traffic.accesses;
  of_region.bytes += traffic.bytes;
}

}  // namespace cria::emulated::traffic
