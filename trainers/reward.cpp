#include "trainers/reward.h"

namespace cria {

void declare(ConfigSchema& schema, RewardConfig& c) {
  declare(schema, static_cast<TrainConfig&>(c));
  schema.choice("reward.margin", c.reward.margin, {"none", "small", "large", "example"},
                "by how much the chosen score must be ahead: by rating, or each line's own");
  schema
      .key("reward.center_rewards_coefficient", c.reward.center_rewards_coefficient,
           "times the mean of (r_c + r_r)^2, which holds scores around 0; 0: off")
      .at_least(0);
  schema
      .key("reward.safety_loss_weight", c.reward.safety_loss_weight,
           "times the cross-entropy of scores of answers labelled safe or unsafe; 0: off")
      .at_least(0);
}

int reward(const RewardConfig& config, const std::string& resolved_config) {
  TrainerSetup setup(config, {.head = HeadKind::score, .sequences_of_a_group = 2});
  const auto data = make_preference_data(data_options(config), config.data.eval, setup.tokenizer());
  RewardLoss objective(config.reward, *data);
  return setup.run(resolved_config, objective, *data, data->evaluation_rows());
}

}  // namespace cria
