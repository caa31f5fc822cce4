// The keys of `cria ppo`: those that every trainer has, and the group `ppo`, with TRL's names where
// TRL has the key.
//
// Of the shared keys, data.train and data.eval name prompts; data.max_length bounds prompt and
// answer together, and prompts that leave no room for ppo.response_length tokens are left out and
// counted. A step is one iteration: training.train_batch_size prompts answered, and
// num_ppo_epochs x num_mini_batches optimizer steps on the answers. max_steps, save_steps,
// eval_steps and the learning-rate schedule count iterations.
#pragma once

#include "trainers/train_config.h"

namespace cria {

struct PpoConfig : TrainConfig {
  struct {
    std::string helpfulness;  // reward models; one of the two may be empty
    std::string safety;
    std::string value_model;  // empty: starts as the helpfulness model, or the only one there is
    std::string reference;    // empty: model.path
    std::string reward_precision = "fp32";
    std::string reference_precision = "policy";

    int64_t response_length = 256;
    double temperature = 1.0;
    int64_t top_k = 0;
    double top_p = 1.0;
    int64_t slots = 16;

    int64_t num_ppo_epochs = 1;
    int64_t num_mini_batches = 1;
    double kl_coef = 0.01;
    std::string kl_estimator = "k1";
    std::optional<double> target_kl;
    int64_t kl_horizon = 10000;
    double cliprange = 0.2;
    double cliprange_value = 0.2;
    double vf_coef = 0.1;
    double gamma = 1.0;
    double lam = 0.95;
    bool whiten_scores = true;
    bool whiten_rewards = false;
    std::optional<double> missing_eos_penalty;

    std::optional<int64_t> early_stopping_patience;
    int64_t rollouts_to_write = 4;
  } ppo;

  // Where the value model starts.
  const std::string& value_model_path() const;
  const std::string& reference_path() const;
};

void declare(ConfigSchema& schema, PpoConfig& config);
// Beyond validate(const TrainConfig&, …).
void validate(const PpoConfig& config);

}  // namespace cria
