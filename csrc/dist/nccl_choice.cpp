#include "csrc/dist/nccl_choice.h"

namespace cria {

MissingDevice obstacle_to_nccl(std::span<const NcclOffer> offers, const MissingDevice& own) {
  if (own) return own;
  for (size_t other = 0; other < offers.size(); ++other) {
    if (!offers[other].usable) {
      return {fmt::format("rank {} has no GPU or no NCCL", other), "see its machine"};
    }
    for (size_t third = 0; third < other; ++third) {
      if (offers[third].gpu == offers[other].gpu) {
        return {fmt::format("ranks {} and {} share a GPU", third, other),
                "start a rank for each GPU"};
      }
    }
  }
  return {};
}

}  // namespace cria
