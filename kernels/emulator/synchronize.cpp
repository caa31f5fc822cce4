// Barriers, votes and shuffles.
#include <algorithm>

#include "kernels/emulator/block.h"

namespace cria::emulated {

namespace {

struct Vote {
  bool predicate;
  unsigned ballot;
};

void count_votes(const Block::Requests& requests, unsigned mask) {
  unsigned ballot = 0;
  for (unsigned lane = 0; lane < requests.size(); ++lane) {
    if (!(mask >> lane & 1u)) continue;
    ballot |= static_cast<unsigned>(static_cast<Vote*>(requests[lane])->predicate) << lane;
  }
  for (unsigned lane = 0; lane < requests.size(); ++lane) {
    if (mask >> lane & 1u) static_cast<Vote*>(requests[lane])->ballot = ballot;
  }
}

unsigned vote(const char* name, unsigned mask, int predicate, CallSite where) {
  Vote request{predicate != 0, 0};
  Block::running().warp_operation(name, mask, &request, count_votes, where);
  return request.ballot;
}

struct Exchange {
  uint64_t value;
  unsigned source;
  uint64_t result;
};

void exchange(const Block::Requests& requests, unsigned mask) {
  for (unsigned lane = 0; lane < requests.size(); ++lane) {
    if (!(mask >> lane & 1u)) continue;
    auto* request = static_cast<Exchange*>(requests[lane]);
    request->result = static_cast<const Exchange*>(requests[request->source])->value;
  }
}

}  // namespace

void __syncthreads(CallSite where) { Block::running().barrier("__syncthreads", false, where); }

int __syncthreads_or(int predicate, CallSite where) {
  return Block::running().barrier("__syncthreads_or", predicate != 0, where).set > 0;
}

int __syncthreads_and(int predicate, CallSite where) {
  const Block::Votes votes = Block::running().barrier("__syncthreads_and", predicate != 0, where);
  return votes.set == votes.all;
}

int __syncthreads_count(int predicate, CallSite where) {
  return Block::running().barrier("__syncthreads_count", predicate != 0, where).set;
}

void __syncwarp(unsigned mask, CallSite where) {
  Block::running().warp_operation(
      "__syncwarp", mask, nullptr, [](const Block::Requests&, unsigned) {}, where);
}

unsigned __ballot_sync(unsigned mask, int predicate, CallSite where) {
  return vote("__ballot_sync", mask, predicate, where);
}

int __any_sync(unsigned mask, int predicate, CallSite where) {
  return vote("__any_sync", mask, predicate, where) != 0;
}

int __all_sync(unsigned mask, int predicate, CallSite where) {
  return vote("__all_sync", mask, predicate, where) == mask;
}

namespace detail {

uint64_t shuffle(Shuffle kind, unsigned mask, uint64_t bits, int argument, int width,
                 CallSite where) {
  constexpr const char* kNames[] = {"__shfl_sync", "__shfl_up_sync", "__shfl_down_sync",
                                    "__shfl_xor_sync"};
  const char* name = kNames[static_cast<int>(kind)];
  Block& block = Block::running();
  if (width <= 0 || width > warpSize || (width & (width - 1)) != 0) {
    throw block.error(fmt::format("calls {} {} with a width of {}; a power of two up to 32", name,
                                  describe(where), width));
  }
  // A lane whose source lies outside of its segment of `width` lanes gets its own value;
  // butterflies may reach into segments before (CUDA C++ Programming Guide, "Warp Shuffle
  // Functions").
  const int lane = block.lane();
  const int begin = lane & ~(width - 1);
  int source = lane;
  switch (kind) {
    case Shuffle::index:
      source = begin + (argument & (width - 1));
      break;
    case Shuffle::up:
      if (argument >= 0 && lane - argument >= begin) source = lane - argument;
      break;
    case Shuffle::down:
      if (argument >= 0 && argument < begin + width - lane) source = lane + argument;
      break;
    case Shuffle::butterfly:
      if ((lane ^ argument) >= 0 && (lane ^ argument) < begin + width) source = lane ^ argument;
      break;
  }
  if (!(mask >> source & 1u)) {
    throw block.error(fmt::format("reads lane {} with {} {}, which the mask {:#010x} lacks", source,
                                  name, describe(where), mask));
  }
  Exchange request{bits, static_cast<unsigned>(source), 0};
  block.warp_operation(name, mask, &request, exchange, where);
  return request.result;
}

}  // namespace detail

void check_alignment(const void* pointer, size_t bytes, CallSite where) {
  if (reinterpret_cast<uintptr_t>(pointer) % bytes == 0) return;
  throw Block::running().error(
      fmt::format("moves {} bytes at an address that is {} bytes past a "
                  "multiple of {} {}",
                  bytes, reinterpret_cast<uintptr_t>(pointer) % bytes, bytes, describe(where)));
}

namespace {

// A GPU moves 16 bytes at most with one instruction: a longer vector is several of them.
void check_access(Access access, const void* pointer, size_t bytes, CallSite where,
                  const void* instruction) {
  constexpr size_t kWidest = 16;
  check_alignment(pointer, bytes, where);
  for (size_t offset = 0; offset < bytes; offset += kWidest) {
    observe(access, static_cast<const char*>(pointer) + offset, std::min(bytes, kWidest),
            instruction);
  }
}

}  // namespace

void check_load(const void* pointer, size_t bytes, CallSite where) {
  check_access(Access::load, pointer, bytes, where, __builtin_return_address(0));
}

void check_store(const void* pointer, size_t bytes, CallSite where) {
  check_access(Access::store, pointer, bytes, where, __builtin_return_address(0));
}

}  // namespace cria::emulated
