#include "trainers/train_config.h"

#include <gtest/gtest.h>

namespace cria {

namespace {

TEST(TrainConfigSchedule, WarmUpByRatioHasAtLeastMinWarmupSteps) {
  TrainConfig config;
  config.optimizer.warmup_ratio = 0.03;
  EXPECT_EQ(schedule(config, 1001).warmup_steps, 31);  // rounded up
  EXPECT_EQ(schedule(config, 50).warmup_steps, 2);
  config.optimizer.min_warmup_steps = 5;
  EXPECT_EQ(schedule(config, 1001).warmup_steps, 31);
  EXPECT_EQ(schedule(config, 50).warmup_steps, 5);
}

}  // namespace

}  // namespace cria
