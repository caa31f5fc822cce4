// The models of a PPO run, planned together in one arena: policy and value model in training, the
// reference and the reward models to be read only, and the engine that answers with the policy's
// own weights. Models of one shape and precision take turns on one set of pass buffers.
#pragma once

#include <memory>

#include "cria/generate/generator.h"

#include "trainers/learner.h"
#include "trainers/ppo/ppo_config.h"
#include "trainers/reward_models.h"

namespace cria {

class PpoModels {
 public:
  // Reads the configs. An input Error names the key of a directory that does not fit: no score
  // head where one is needed, a smaller vocabulary or context than the policy's answers have.
  PpoModels(const PpoConfig& config, const ModelConfig& policy_config, const Tokenizer& tokenizer,
            Backend& backend);

  std::string memory_table() const { return arena_.table(); }
  // Allocates, then loads the models that are not trained.
  void prepare();
  // The models that are trained, at the start of a run. A resumed one loads its checkpoint.
  void load_start();
  std::vector<CheckpointModel> checkpoint_models();
  void loaded();

  // Of the models that are only read, so that a run does not go on with others.
  std::string read_only_checksum();

  Learner& policy() { return *policy_; }
  Learner& value() { return *value_; }
  const Model& reference() const { return *reference_; }
  PassBuffers& reference_passes() { return *reference_passes_; }
  RewardModels& rewards() { return *rewards_; }
  Generator& generator() { return *generator_; }

 private:
  PassBuffers& passes_for(const ModelConfig& config, DType precision, const PassPlan& plan);

  const PpoConfig& config_;
  Arena arena_;
  std::vector<std::unique_ptr<PassBuffers>> passes_;
  std::vector<ModelConfig> pass_shapes_;  // that each of them was made for
  std::unique_ptr<Learner> policy_;
  std::unique_ptr<Learner> value_;
  std::unique_ptr<ParameterLayout> reference_layout_;
  std::unique_ptr<Model> reference_;
  PassBuffers* reference_passes_ = nullptr;
  std::unique_ptr<RewardModels> rewards_;
  std::unique_ptr<Generator> generator_;
};

}  // namespace cria
