// What makes one trainer differ from another: how a micro-batch becomes gradients and figures. The
// train loop does the rest.
#pragma once

#include <span>
#include <vector>

#include "cria/data/training_data.h"
#include "cria/dist/reduction.h"

#include "trainers/learner.h"
#include "trainers/micro_batches.h"
#include "trainers/run_directory.h"

namespace cria {

enum class PassKind { training, evaluation };

class Objective {
 public:
  virtual ~Objective() = default;

  // The groups that the rows of a step hold.
  virtual std::vector<Group> groups(std::vector<Row> rows) const = 0;

  // Sees the whole global batch first: normalisers come from it, so that no rank has to ask
  // another.
  virtual void begin(std::span<const Group> batch, PassKind kind) = 0;
  // One pass; when training, adds to the learner's gradients, by one Learner::backward().
  virtual void pass(Learner& learner, const MicroBatch& micro) = 0;
  // Figures over all ranks.
  virtual Figures end(Communicator& communicator) = 0;
  // After the end() of an evaluation; `is_last`: of the run. May leave more in the run's directory;
  // returns further figures to record with those of end().
  virtual Figures evaluated(RunDirectory& /*directory*/, bool /*is_last*/) { return {}; }
};

// This rank's passes over its share of the groups; figures over all ranks. Training leaves the
// gradients summed over the ranks: the sums of the last pass run while it goes back through the
// layers.
Figures pass_over(std::span<const Group> groups, PassKind kind, Objective& objective,
                  Learner& learner, Communicator& communicator, Reduction& reduction);

}  // namespace cria
