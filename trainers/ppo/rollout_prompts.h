// The prompts that PPO answers: data.train mixed and shuffled as fine-tuning data is, and data.eval
// as it stands.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cria/data/training_data.h"

#include "trainers/ppo/ppo_config.h"
#include "trainers/prompts.h"

namespace cria {

class RolloutPrompts {
 public:
  // An input Error names a file without a prompt that leaves room for ppo.response_length tokens.
  RolloutPrompts(const PpoConfig& config, const Tokenizer& tokenizer, const ModelConfig& model);

  // The stream, a prompt a row: for its cursor, its report and its length.
  TrainingData& stream() { return *stream_; }
  std::vector<const Prompt*> next(int64_t count);
  std::vector<const Prompt*> held_out() const;

 private:
  std::vector<Prompt> read(const std::string& path, ExampleCounts& counts) const;

  const PpoConfig& config_;
  const Tokenizer& tokenizer_;
  const ModelConfig& model_;
  std::vector<Prompt> prompts_;  // of all sources; an Example's item is the place here
  std::vector<Prompt> held_out_;
  std::unique_ptr<TrainingData> stream_;
};

}  // namespace cria
