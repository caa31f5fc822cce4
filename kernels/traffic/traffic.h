// Counts what emulated kernels ask of memory (docs/tuning_kernels.md). The kernels of a program
// that links cria_counted are compiled with calls at every load and store; a warp's access is put
// together from the accesses of its lanes to one instruction: the n-th of each lane since all lanes
// last met in a barrier or a warp operation.
//
// Global memory is what Backend::memory() gave out, shared memory that of the running block; stacks
// and the emulator's own memory do not count. Figures do not depend on the order of threads, nor on
// how many threads of the host run them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/emulator/language.h"
#include "kernels/emulator/observer.h"

namespace cria::emulated::traffic {

struct Global {
  int64_t accesses = 0;  // of warps
  int64_t sectors = 0;   // of 32 bytes, asked of L2
  int64_t bytes = 0;     // that threads asked for
  int64_t distinct = 0;  // sectors of the whole launch: what DRAM must give or take at least

  Global& operator+=(const Global& other);
  bool operator==(const Global&) const = default;
};

struct Shared {
  int64_t accesses = 0;
  int64_t wavefronts = 0;
  int64_t conflicts = 0;  // wavefronts beyond one for each phase

  Shared& operator+=(const Shared& other);
  bool operator==(const Shared&) const = default;
};

// Of one allocation.
struct Region {
  const void* data;
  size_t bytes;
  Global loads, stores;

  bool operator==(const Region&) const = default;
};

// Of one instruction; one of the two kinds of memory.
struct Instruction {
  const void* address;  // where it returns to
  Access access;
  Global global;
  Shared shared;

  bool operator==(const Instruction&) const = default;
};

struct LaunchTraffic {
  const void* kernel;
  CallSite where;
  std::vector<Region> regions;            // that were touched
  std::vector<Instruction> instructions;  // by address

  Global loads() const;
  Global stores() const;
  Shared shared(Access access) const;
  Shared shared() const;  // both
};

// Counts all launches while it lives; there can be one at a time.
class Counter {
 public:
  Counter();
  ~Counter();
  Counter(const Counter&) = delete;

  std::vector<LaunchTraffic> take();  // since the last call
};

// Names of functions and "file:line", read from the debugging information of this program.
struct Source {
  std::string function;  // of a kernel: without namespaces and parameters
  std::string place;     // "kernels/rmsnorm.cu:45", the innermost that is not in kernels/device/
};
std::vector<Source> find_sources(const std::vector<const void*>& addresses);

}  // namespace cria::emulated::traffic
