#include "trainers/ppo.h"

#include <spdlog/spdlog.h>

#include "trainers/ppo/ppo_loop.h"
#include "trainers/trainer_setup.h"

namespace cria {

int ppo(const PpoConfig& config, const std::string& resolved_config) {
  TrainerSetup setup(config);
  validate(config);
  RolloutPrompts prompts(config, setup.tokenizer(), setup.model_config());
  PpoModels models(config, setup.model_config(), setup.tokenizer(), setup.backend());
  if (setup.communicator().is_root()) {
    spdlog::info(
        "{}, policy of {} parameters and value model of {} in {}", setup.backend().description(),
        models.policy().model.weights.layout().parameter_count(),
        models.value().model.weights.layout().parameter_count(), config.training.precision);
    spdlog::info("{}", prompts.stream().report());
    spdlog::info("memory\n{}", models.memory_table());
  }
  models.prepare();
  return train({.config = config,
                .resolved_config = resolved_config,
                .models = models,
                .prompts = prompts,
                .tokenizer = setup.tokenizer(),
                .communicator = setup.communicator(),
                .reduction = setup.reduction()});
}

}  // namespace cria
