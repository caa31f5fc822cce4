#include "trainers/sft.h"

#include "trainers/token_loss.h"

namespace cria {

namespace {

int train_on(const DataOptions& options, TrainerSetup& setup, const TrainConfig& config,
             const std::string& resolved_config) {
  const auto data = make_sft_data(options, setup.tokenizer());
  TokenLoss objective(setup.model_config());
  return setup.run(resolved_config, objective, *data,
                   sft_evaluation_rows(config.data.eval, options, setup.tokenizer()));
}

}  // namespace

int sft(const TrainConfig& config, const std::string& resolved_config) {
  TrainerSetup setup(config);
  return train_on(data_options(config), setup, config, resolved_config);
}

int fine_tune(TrainerSetup& setup, const TrainConfig& config, const std::string& examples,
              const std::string& resolved_config) {
  DataOptions options = data_options(config);
  options.train = {{.path = examples}};
  return train_on(options, setup, config, resolved_config);
}

}  // namespace cria
