// What one access of a warp asks of memory: the model of the counters, after the CUDA C++
// Programming Guide ("Device Memory Accesses", "Shared Memory" of compute capability 5.x and later)
// and Nsight Compute's metrics of the same names.
//
//   global  The sectors of 32 bytes that the lanes touch together: what L1 asks of L2 when it holds
//           none of them. Lanes that touch the same sector share it.
//   shared  32 banks of 4 bytes. Lanes of up to 4 bytes are served in one phase; of 8 bytes half a
//           warp, of 16 a quarter at a time. A phase takes as many wavefronts as the bank with the
//           most different words has; lanes that touch the same word share it. One wavefront for
//           each phase is the ideal, what comes on top are bank conflicts.
//
// A model: the hardware may join phases of 8 and 16 bytes whose lanes read the same words, which
// here stay one wavefront each in count and ideal.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace cria::emulated::traffic {

constexpr int kLanes = 32;
constexpr uintptr_t kSectorBytes = 32;

struct WarpAccess {
  uint32_t lanes = 0;  // that take part
  size_t bytes = 0;    // of each
  std::array<uintptr_t, kLanes> addresses;
};

// Numbers of the sectors (address / 32), ascending, each once.
void find_sectors(const WarpAccess& access, std::vector<uintptr_t>& sectors);

struct Wavefronts {
  int phases = 0;
  int total = 0;
};
Wavefronts count_wavefronts(const WarpAccess& access);

}  // namespace cria::emulated::traffic
