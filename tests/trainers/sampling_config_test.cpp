#include "trainers/sampling_config.h"

#include <gtest/gtest.h>

namespace cria {

namespace {

TEST(SamplingConfig, EveryKeyReachesTheEngine) {
  SamplingConfig config;
  ConfigSchema schema;
  declare_sampling(schema, "rejection", config);
  schema.set("rejection.top_k_tokens=40");
  schema.set("rejection.top_p=0.75");
  schema.set("rejection.max_new_tokens=7");
  schema.set("rejection.slots=3");
  const SamplingSettings settings = config.settings(0.5, 2);
  EXPECT_EQ(settings.temperature, 0.5f);
  EXPECT_EQ(settings.top_k, 40);
  EXPECT_EQ(settings.top_p, 0.75f);
  EXPECT_EQ(settings.max_new_tokens, 7);
  EXPECT_EQ(settings.stop_ids, std::vector<int32_t>{2});
  EXPECT_EQ(config.slots, 3);
}

}  // namespace

}  // namespace cria
