// What every trainer does before its loop: backend, communicator, model, tokenizer; and the report
// of it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "trainers/frozen_model.h"
#include "trainers/train_loop.h"

namespace cria {

// What a trainer asks of its model and its passes.
struct TrainerNeeds {
  // A score head: a language model's head is replaced by a scalar one, drawn from training.seed.
  HeadKind head = HeadKind::language;
  int sequences_of_a_group = 1;  // that must share a pass
};

class TrainerSetup {
 public:
  explicit TrainerSetup(const TrainConfig& config, const TrainerNeeds& needs = {});

  const ModelConfig& model_config() const { return model_config_; }
  const Tokenizer& tokenizer() const { return tokenizer_; }
  Communicator& communicator() { return *communicator_; }
  Backend& backend() { return *backend_; }
  Reduction& reduction() { return *reduction_; }

  // Plans the memory, prints the plan and trains. `frozen`: a model that the objective asks in its
  // passes. Returns the exit code.
  int run(const std::string& resolved_config, Objective& objective, TrainingData& data,
          std::vector<Row> evaluation_rows, FrozenModel* frozen = nullptr);

 private:
  const TrainConfig& config_;
  const TrainerNeeds needs_;
  std::unique_ptr<Communicator> communicator_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Reduction> reduction_;
  ModelConfig model_config_;
  MissingHead missing_head_ = MissingHead::refuse;
  Tokenizer tokenizer_;
};

}  // namespace cria
