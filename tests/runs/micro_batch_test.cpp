// Any split of the same global batch into passes gives the same loss and gradients within summation
// order, and so does packing.
#include <gtest/gtest.h>

#include "runs/small_run.h"

namespace cria::testing {

namespace {

class MicroBatches : public ::testing::TestWithParam<Trainer> {};
INSTANTIATE_TEST_SUITE_P(Trainers, MicroBatches,
                         ::testing::Values(Trainer::pretrain, Trainer::sft, Trainer::reward,
                                           Trainer::dpo),
                         trainer_name);

TEST_P(MicroBatches, AnySplitOfTheBatch) {
  for (const std::string precision : {"fp32", "bf16"}) {
    const SmallRun small(GetParam());
    const auto run = [&](const std::string& name, const std::string& tokens) {
      run_cria_well(
          small.command(name, {"training.micro_batch_tokens=" + tokens,
                               "training.precision=" + precision, "training.max_steps=6"}));
    };
    run("all", "4096");
    for (const int more : {0, 128, 256}) {
      const std::string tokens = std::to_string(least_pass_tokens(GetParam()) + more);
      SCOPED_TRACE(precision + " in passes of " + tokens);
      run(tokens, tokens);
      expect_close_metrics(small.path(tokens), small.path("all"), precision, 6);
    }
  }
}

TEST_P(MicroBatches, RecomputationChangesNoBit) {
  const SmallRun small(GetParam());
  run_cria_well(small.command("kept"));
  run_cria_well(small.command("recomputed", {"training.recompute=block"}));
  EXPECT_EQ(read_metrics(small.path("kept")), read_metrics(small.path("recomputed")));
  EXPECT_TRUE(read_bytes(small.path("kept/final/model.safetensors")) ==
              read_bytes(small.path("recomputed/final/model.safetensors")));
}

TEST_P(MicroBatches, TwoRunsAreTheSameToTheBit) {
  for (const char* precision : {"fp32", "bf16"}) {
    const SmallRun small(GetParam());
    const std::string setting = std::string("training.precision=") + precision;
    run_cria_well(small.command("one", {setting}));
    run_cria_well(small.command("two", {setting}));
    expect_same_run(small.path("one"), small.path("two"), 12);
  }
}

}  // namespace

}  // namespace cria::testing
