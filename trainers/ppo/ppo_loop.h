// The iterations of PPO: answer, score, update; with metrics, evaluation, checkpoints, resumption
// and stopping as the train loop has them.
#pragma once

#include <string>

#include "trainers/ppo/ppo_models.h"
#include "trainers/ppo/rollout_prompts.h"
#include "trainers/run_directory.h"

namespace cria {

struct PpoRun {
  const PpoConfig& config;
  std::string resolved_config;  // YAML of everything in force
  PpoModels& models;
  RolloutPrompts& prompts;
  const Tokenizer& tokenizer;
  Communicator& communicator;
  Reduction& reduction;  // of the gradients
};

// Trains to the end, to training.stop_at_step, to a stop signal or until evaluations show no gain.
// Leaves in output_dir what every run does, and rollouts/step-N.jsonl, and best/ where there are
// evaluations. Returns the process's exit code: 0, or 128 + signal.
int train(PpoRun run);

}  // namespace cria
