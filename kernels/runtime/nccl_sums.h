// Sums over the GPUs of several processes, by NCCL: a GPU a rank, on a stream of their own, so that
// they run beside the ops of the compute stream. NCCL is loaded when it is first asked for
// (shared_library.h). No CUDA header needed.
//
// Same bits again: sums are formed in the dtype of the tensor, in an order that NCCL's algorithm
// gives. The ring with the simple protocol is asked for (NCCL_ALGO, NCCL_PROTO), so that the order
// hangs on the number of ranks, the machine's topology and the library alone. Who sets one of these
// variables chooses otherwise.
#pragma once

#include <array>
#include <memory>
#include <string>

#include "cria/core/tensor.h"

#include "kernels/runtime/make_backend.h"

namespace cria::cuda {

// Why this process cannot load NCCL and what to do about it; empty where it can. Never throws.
MissingDevice missing_nccl();

// Tells the GPU of this process from all others, of other hosts too.
using GpuIdentity = std::array<unsigned char, 16>;
GpuIdentity gpu_identity();

// What makes the ranks of a communicator find each other: made by one of them, known to all.
using NcclId = std::array<char, 128>;
NcclId make_nccl_id();

class NcclSums {
 public:
  // Collective: returns when all ranks have called it.
  NcclSums(int rank, int size, const NcclId& id);
  ~NcclSums();
  NcclSums(const NcclSums&) = delete;
  NcclSums& operator=(const NcclSums&) = delete;

  static std::string version();  // of the library: "2.28.9"

  // Collective. Queues the sum of a tensor on the GPU, in place, behind the ops queued so far.
  void start(Tensor tensor);
  // Ops queued from here on wait, on the GPU, for all sums started.
  void finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Sets NCCL_ALGO and NCCL_PROTO, each where the environment does not have it.
void pin_nccl_algorithm();

}  // namespace cria::cuda
