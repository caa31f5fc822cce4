// Sums of gradients over the ranks, in the memory where they are. A sum may run beside the ops that
// are queued after its start: the backward pass goes on to earlier layers meanwhile. Every call is
// collective: all ranks start sums of the same sizes in the same order.
#pragma once

#include <memory>
#include <string>

#include "cria/dist/communicator.h"
#include "cria/ops/backend.h"

namespace cria {

class Reduction {
 public:
  virtual ~Reduction() = default;
  virtual std::string description() const = 0;

  // In place, fp32 or bf16; of what the ops queued so far have written. Nothing may touch the
  // tensor before finish().
  virtual void start(Tensor tensor) = 0;
  // Ops that are queued from here on find the sums of all that was started.
  virtual void finish() = 0;
};

// `way`: nccl (in the memory of GPUs, each rank with one of its own), host (by the communicator),
// or auto: nccl where all ranks can. Collective. Throws an Error of training.reduction where nccl
// is asked for and cannot be. Communicator and backend must outlive it.
std::unique_ptr<Reduction> make_reduction(Communicator& communicator, Backend& backend,
                                          const std::string& way = "auto");

}  // namespace cria
