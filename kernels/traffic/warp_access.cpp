#include "kernels/traffic/warp_access.h"

#include <algorithm>

namespace cria::emulated::traffic {

void find_sectors(const WarpAccess& access, std::vector<uintptr_t>& sectors) {
  sectors.clear();
  bool ascending = true;
  for (int lane = 0; lane < kLanes; ++lane) {
    if (!(access.lanes >> lane & 1u)) continue;
    const uintptr_t first = access.addresses[lane] / kSectorBytes;
    const uintptr_t last = (access.addresses[lane] + access.bytes - 1) / kSectorBytes;
    for (uintptr_t sector = first; sector <= last; ++sector) {
      if (!sectors.empty() && sector == sectors.back()) continue;
      ascending = ascending && (sectors.empty() || sector > sectors.back());
      sectors.push_back(sector);
    }
  }
  if (ascending) return;
  std::sort(sectors.begin(), sectors.end());
  sectors.erase(std::unique(sectors.begin(), sectors.end()), sectors.end());
}

Wavefronts count_wavefronts(const WarpAccess& access) {
  constexpr uintptr_t kBanks = 32, kBankBytes = 4;
  const int lanes_of_phase = access.bytes <= 4 ? 32 : access.bytes <= 8 ? 16 : 8;
  Wavefronts result;
  std::array<uintptr_t, kBanks * kLanes> words;  // of each bank
  for (int first = 0; first < kLanes; first += lanes_of_phase) {
    std::array<int, kBanks> count = {};
    for (int lane = first; lane < first + lanes_of_phase; ++lane) {
      if (!(access.lanes >> lane & 1u)) continue;
      const uintptr_t begin = access.addresses[lane] / kBankBytes;
      const uintptr_t end = (access.addresses[lane] + access.bytes - 1) / kBankBytes + 1;
      for (uintptr_t word = begin; word < end; ++word) {
        const uintptr_t bank = word % kBanks;
        uintptr_t* const of_bank = words.data() + bank * kLanes;
        if (std::find(of_bank, of_bank + count[bank], word) == of_bank + count[bank] &&
            count[bank] < kLanes) {
          of_bank[count[bank]++] = word;
        }
      }
    }
    const int most = *std::max_element(count.begin(), count.end());
    if (most > 0) ++result.phases;
    result.total += most;
  }
  return result;
}

}  // namespace cria::emulated::traffic
