// In which order the emulator runs the threads of a block between two waits, and the blocks of a
// grid. CUDA promises none, so a kernel's results must be the same bits under all of them; a
// missing barrier shows under at least one.
#pragma once

#include <cstdint>
#include <string>

namespace cria::emulated {

struct ThreadOrder {
  enum class Kind {
    forward,   // the lowest warp that can run, and of it the lowest lane
    reverse,   // the highest
    shuffled,  // any, drawn from the seed and the block's index
  };
  Kind kind = Kind::forward;
  uint64_t seed = 0;

  bool operator==(const ThreadOrder&) const = default;
};

// "forward", "reverse" or "shuffled:SEED".
ThreadOrder parse_thread_order(const std::string& text);

// Of the launches to come, on all host threads. Starts as the environment variable
// CRIA_EMULATOR_ORDER says, else forward.
ThreadOrder thread_order();
void set_thread_order(ThreadOrder order);

}  // namespace cria::emulated
