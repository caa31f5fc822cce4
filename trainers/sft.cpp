#include "trainers/sft.h"

#include "trainers/token_loss.h"

namespace cria {

int sft(const TrainConfig& config, const std::string& resolved_config) {
  TrainerSetup setup(config);
  const DataOptions options = data_options(config);
  const auto data = make_sft_data(options, setup.tokenizer());
  TokenLoss objective(setup.model_config());
  return setup.run(resolved_config, objective, *data,
                   sft_evaluation_rows(config.data.eval, options, setup.tokenizer()));
}

}  // namespace cria
