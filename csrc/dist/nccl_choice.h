// Whether the ranks of a run can sum by NCCL: all of them or none.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "cria/dist/communicator.h"

#include "kernels/runtime/make_backend.h"

namespace cria {

// What a rank tells the others.
struct NcclOffer {
  uint8_t usable = 0;                // whether it has a GPU and NCCL
  std::array<uint8_t, 16> gpu = {};  // which of all GPUs
};

// Why they cannot; empty where they can. `own`: what this rank lacks.
MissingDevice obstacle_to_nccl(std::span<const NcclOffer> offers, const MissingDevice& own);

}  // namespace cria
