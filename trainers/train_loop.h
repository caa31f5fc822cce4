// The loop that all trainers share: batches, accumulation over micro-batches, clipping and update,
// evaluation, metrics, checkpoints, resumption and stopping.
#pragma once

#include <memory>
#include <string>

#include "trainers/objective.h"
#include "trainers/train_config.h"

namespace cria {

// A run in progress: what a trainer puts together and the loop works on.
struct TrainRun {
  const TrainConfig& config;
  std::string resolved_config;  // YAML of everything in force
  Learner& learner;
  Objective& objective;
  TrainingData& data;
  std::vector<Row> evaluation_rows;
  const Tokenizer& tokenizer;
  Communicator& communicator;
  Reduction& reduction;                            // of the gradients
  MissingHead missing_head = MissingHead::refuse;  // whether model.path may have another head
};

// Trains to the end, to training.stop_at_step or to a stop signal, whichever comes first; resumes
// where checkpoint.resume says. Leaves in output_dir: config.yaml, metrics.jsonl,
// tensorboard/, checkpoint-N/ and, at the end, final/. Returns the process's exit code: 0, or 128 +
// signal.
int train(TrainRun run);

}  // namespace cria
