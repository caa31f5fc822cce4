// What every trainer does before its loop: backend, communicator, model, tokenizer; and the report
// of it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "trainers/train_loop.h"

namespace cria {

class TrainerSetup {
 public:
  explicit TrainerSetup(const TrainConfig& config);

  const ModelConfig& model_config() const { return model_config_; }
  const Tokenizer& tokenizer() const { return tokenizer_; }
  Communicator& communicator() { return *communicator_; }
  Backend& backend() { return *backend_; }

  // Plans the memory, prints the plan and trains. Returns the exit code.
  int run(const std::string& resolved_config, Objective& objective, TrainingData& data,
          std::vector<Row> evaluation_rows);

 private:
  const TrainConfig& config_;
  std::unique_ptr<Communicator> communicator_;
  std::unique_ptr<Backend> backend_;
  ModelConfig model_config_;
  Tokenizer tokenizer_;
};

}  // namespace cria
