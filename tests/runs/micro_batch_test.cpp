// Any split of the same global batch into passes gives the same loss and gradients within summation
// order, and so does packing.
#include <cmath>

#include <gtest/gtest.h>

#include "runs/small_run.h"

namespace cria::testing {

namespace {

// fp32 sums over other orders: the relative error of a sum of n terms grows like sqrt(n) 2^-24; the
// loss of a step is a sum of some hundred log-probabilities, the gradient norm one of gradients
// that are each a sum over as many tokens. The runs drift apart over the steps as those differences
// pass through AdamW, whose first steps move every weight by about the learning rate whatever the
// gradient's size; six steps are compared. In bf16 those differences flip single roundings of
// activations, each by 2^-8 of one value among hundreds that a loss is made of.
double relative_bound(const std::string& precision) { return precision == "fp32" ? 1e-4 : 0x1p-8; }

void expect_close_metrics(const std::string& run, const std::string& other, double bound) {
  const auto lines = read_metrics(run);
  const auto others = read_metrics(other);
  ASSERT_EQ(lines.size(), others.size());
  ASSERT_GE(lines.size(), 6u);
  for (size_t i = 0; i < lines.size(); ++i) {
    for (const char* figure : {"loss", "grad_norm", "entropy"}) {
      const double a = lines[i][figure];
      const double b = others[i][figure];
      EXPECT_LE(std::abs(a - b), bound * std::abs(b)) << figure << " at step " << i + 1;
    }
    EXPECT_EQ(lines[i]["num_tokens"], others[i]["num_tokens"]);
  }
}

class MicroBatches : public ::testing::TestWithParam<Trainer> {};
INSTANTIATE_TEST_SUITE_P(Trainers, MicroBatches, ::testing::Values(Trainer::pretrain, Trainer::sft),
                         [](const ::testing::TestParamInfo<Trainer>& which) {
                           return which.param == Trainer::pretrain ? "pretrain" : "sft";
                         });

TEST_P(MicroBatches, AnySplitOfTheBatch) {
  for (const std::string precision : {"fp32", "bf16"}) {
    const SmallRun small(GetParam());
    const auto run = [&](const std::string& name, const std::string& tokens) {
      run_cria_well(
          small.command(name, {"training.micro_batch_tokens=" + tokens,
                               "training.precision=" + precision, "training.max_steps=6"}));
    };
    run("all", "4096");
    for (const char* tokens : {"128", "256", "384"}) {
      SCOPED_TRACE(precision + " in passes of " + tokens);
      run(tokens, tokens);
      expect_close_metrics(small.path(tokens), small.path("all"), relative_bound(precision));
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
