// Who looks on while kernels run: the counters of kernels/traffic/, in the programs that have them.
#pragma once

#include <cstddef>

namespace cria::emulated {

class Block;
struct Launch;

enum class Access { load, store };

// Blocks run on several threads of the host at once; what a block does is told on its own.
class Observer {
 public:
  virtual ~Observer() = default;

  virtual void launch_begins(const Launch& launch) = 0;
  virtual void block_begins(const Block& block) = 0;
  virtual void static_shared(const void* storage, size_t bytes) = 0;  // first used in the block
  // What the running thread does, as one access; `instruction` tells it from others.
  virtual void access(Access access, const void* address, size_t bytes,
                      const void* instruction) = 0;
  // All lanes of the warp have come to one place.
  virtual void warp_meets(int warp) = 0;
  virtual void block_ends() = 0;
  virtual void launch_ends() = 0;
};

// None but where a counter set itself, while no kernel ran.
inline constinit Observer* observer = nullptr;

inline void observe(Access access, const void* address, size_t bytes, const void* instruction) {
  if (observer) observer->access(access, address, bytes, instruction);
}

}  // namespace cria::emulated
