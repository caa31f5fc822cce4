#include "trainers/objective.h"

namespace cria {

Figures pass_over(std::span<const Group> groups, PassKind kind, Objective& objective,
                  Learner& learner, Communicator& communicator, Reduction& reduction) {
  objective.begin(groups, kind);
  const std::vector<MicroBatch> passes =
      split(groups, learner.max_tokens(), communicator.rank(), communicator.size());
  for (const MicroBatch& micro : passes) {
    if (kind == PassKind::training && &micro == &passes.back()) {
      learner.reduce_in_next_backward(reduction);
    }
    objective.pass(learner, micro);
  }
  // Before the figures: ranks without a pass start their sums here, and all ranks make their
  // collective calls in one order.
  if (kind == PassKind::training) learner.finish_reduction(reduction);
  return objective.end(communicator);
}

}  // namespace cria
