#include "cria/optim/schedule.h"

#include <gtest/gtest.h>

namespace cria {

namespace {

TEST(Schedule, WarmsUpLinearlyThenFallsAlongACosine) {
  const Schedule schedule{
      .type = "cosine", .peak = 3e-4, .warmup_steps = 10, .total_steps = 110, .final_ratio = 0.1};
  EXPECT_DOUBLE_EQ(schedule.learning_rate(1), 3e-5);
  EXPECT_DOUBLE_EQ(schedule.learning_rate(10), 3e-4);
  EXPECT_DOUBLE_EQ(schedule.learning_rate(60), 3e-4 * 0.55);  // half way: the mean of peak and end
  EXPECT_DOUBLE_EQ(schedule.learning_rate(110), 3e-5);
  EXPECT_DOUBLE_EQ(schedule.learning_rate(500), 3e-5);
  for (int64_t t = 10; t < 110; ++t) {
    EXPECT_GT(schedule.learning_rate(t), schedule.learning_rate(t + 1));
  }
}

TEST(Schedule, Linear) {
  const Schedule schedule{
      .type = "linear", .peak = 1.0, .warmup_steps = 0, .total_steps = 10, .final_ratio = 0.0};
  EXPECT_DOUBLE_EQ(schedule.learning_rate(1), 0.9);
  EXPECT_DOUBLE_EQ(schedule.learning_rate(5), 0.5);
  EXPECT_DOUBLE_EQ(schedule.learning_rate(10), 0.0);
}

TEST(Schedule, Constant) {
  const Schedule schedule{
      .type = "constant", .peak = 1e-6, .warmup_steps = 2, .total_steps = 10, .final_ratio = 0.1};
  EXPECT_DOUBLE_EQ(schedule.learning_rate(1), 5e-7);
  EXPECT_DOUBLE_EQ(schedule.learning_rate(2), 1e-6);
  EXPECT_DOUBLE_EQ(schedule.learning_rate(10), 1e-6);
}

TEST(Schedule, WarmUpAsLongAsTheRun) {
  const Schedule schedule{.peak = 1.0, .warmup_steps = 4, .total_steps = 4};
  EXPECT_DOUBLE_EQ(schedule.learning_rate(4), 1.0);
}

}  // namespace

}  // namespace cria
