// Training on the devices beside the CPU that this build has (docs/numerics.md, "What is bitwise"):
// in agreement with the CPU, and to the bit with itself.
#include <filesystem>

#include <gtest/gtest.h>

#include "cria/ops/backend.h"

#include "runs/commands.h"
#include "runs/small_run.h"

namespace cria::testing {

namespace {

struct DeviceRunCase {
  std::string device;
  Trainer trainer;
  std::string precision;
};

std::vector<DeviceRunCase> cases() {
  std::vector<DeviceRunCase> result;
  for (const std::string& device : usable_devices()) {
    if (device == "cpu") continue;
    for (const Trainer trainer : {Trainer::pretrain, Trainer::sft}) {
      for (const char* precision : {"fp32", "bf16"}) result.push_back({device, trainer, precision});
    }
    result.push_back({device, Trainer::reward, "fp32"});
    result.push_back({device, Trainer::dpo, "fp32"});
    result.push_back({device, Trainer::rejection, "fp32"});
    result.push_back({device, Trainer::ppo, "fp32"});
  }
  return result;
}

std::string case_name(const ::testing::TestParamInfo<DeviceRunCase>& info) {
  return info.param.device + "_" + name_of(info.param.trainer) + "_" + info.param.precision;
}

// Runs of four steps of four rows, two passes each, of a model that is as small as kernels let it
// be interesting: the emulator is some hundred times slower than the CPU.
class DeviceRun : public ::testing::TestWithParam<DeviceRunCase> {
 protected:
  static constexpr int kSteps = 4;

  void SetUp() override {
    // Grouped-query attention with heads of 16 in two layers, and multi-query with heads of 64.
    const bool pretraining = GetParam().trainer == Trainer::pretrain;
    write_bytes(small_.path("shape.yaml"),
                pretraining ? "{hidden_size: 32, intermediate_size: 44, num_hidden_layers: 2, "
                              "num_attention_heads: 4, num_key_value_heads: 2, head_dim: 16}"
                            : "{hidden_size: 48, intermediate_size: 80, num_hidden_layers: 1, "
                              "num_attention_heads: 3, num_key_value_heads: 1, head_dim: 64}");
    make_model("model", "language");
    make_model("reward", "score");
    write_lines(small_.path("prompts.jsonl"),
                {R"({"prompt": "What colour is the hat?"})", R"({"prompt": "Spell cat."})",
                 R"({"prompt": "Two and two?"})", R"({"prompt": "Why?"})"});
  }

  void make_model(const std::string& name, const std::string& head) const {
    run_cria_well({"init", "--config", small_.path("shape.yaml"), "--set", "initializer_range=0.1",
                   "--tokenizer", golden("tokenizer.model"), "--head", head, "--output",
                   small_.path(name), "--seed", "1"});
  }

  std::vector<std::string> command(const std::string& output, const std::string& device,
                                   const std::vector<std::string>& more = {}) const {
    std::vector<std::string> settings = {"model.path=" + small_.path("model"),
                                         "training.device=" + device,
                                         "training.precision=" + GetParam().precision,
                                         "training.max_steps=" + std::to_string(kSteps),
                                         "training.micro_batch_tokens=128",
                                         "data.max_length=64",
                                         "checkpoint.save_steps=0"};
    if (GetParam().trainer == Trainer::rejection) {
      settings.push_back("rejection.prompts=[" + small_.path("prompts.jsonl") + "]");
      settings.push_back("rejection.helpfulness=" + small_.path("reward"));
    } else if (GetParam().trainer == Trainer::ppo) {
      settings.push_back("ppo.helpfulness=" + small_.path("reward"));
    }
    settings.insert(settings.end(), more.begin(), more.end());
    return small_.command(output, settings);
  }

  // On the device of the test.
  void train(const std::string& output, const std::vector<std::string>& more = {},
             const std::vector<std::string>& launcher = {"env"}) const {
    train_on(GetParam().device, output, more, launcher);
  }
  void train_on(const std::string& device, const std::string& output,
                const std::vector<std::string>& more = {},
                const std::vector<std::string>& launcher = {"env"}) const {
    const ProcessResult result = Process(launcher, command(output, device, more)).wait();
    ASSERT_EQ(result.exit_code, 0) << result.output << result.errors;
  }

  void expect_close(const std::string& run, const std::string& other, size_t steps) const {
    SCOPED_TRACE(run);
    expect_close_metrics(small_.path(run), small_.path(other), GetParam().precision, steps);
    if (GetParam().trainer == Trainer::rejection) {
      // No draw came so near the edge of a token's share that the devices part.
      const auto samples = json_lines(small_.path(run + "/pool.jsonl"));
      const auto others = json_lines(small_.path(other + "/pool.jsonl"));
      ASSERT_EQ(samples.size(), others.size());
      for (size_t i = 0; i < samples.size(); ++i) {
        EXPECT_EQ(samples[i]["completion_ids"], others[i]["completion_ids"]) << i;
      }
    }
  }
  void expect_same(const std::string& run, const std::string& other, int steps = kSteps) const {
    SCOPED_TRACE(run);
    expect_same_run(small_.path(run), small_.path(other), steps);
    if (GetParam().trainer == Trainer::rejection) {
      EXPECT_EQ(read_bytes(small_.path(run + "/pool.jsonl")),
                read_bytes(small_.path(other + "/pool.jsonl")));
    } else if (GetParam().trainer == Trainer::ppo) {
      EXPECT_EQ(read_tree(small_.path(run + "/rollouts")),
                read_tree(small_.path(other + "/rollouts")));
    }
  }

  const SmallRun small_{GetParam().trainer};
};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(DeviceRun);
INSTANTIATE_TEST_SUITE_P(Devices, DeviceRun, ::testing::ValuesIn(cases()), case_name);

// However the batch is split over passes and ranks.
TEST_P(DeviceRun, AgreesWithTheCpu) {
  const std::string steps = "training.max_steps=3";
  train_on("cpu", "cpu", {steps});
  train("two passes", {steps});
  expect_close("two passes", "cpu", 3);
  train("one pass", {steps, "training.micro_batch_tokens=256"});
  expect_close("one pass", "cpu", 3);
  train("two ranks", {steps}, mpirun(2));
  expect_close("two ranks", "cpu", 3);
}

TEST_P(DeviceRun, ACheckpointGoesOnOnAnotherDevice) {
  train_on("cpu", "cpu");
  const std::vector<std::string> begin = {"training.stop_at_step=1"};
  const std::vector<std::string> almost = {"training.stop_at_step=3"};
  train("to cpu", begin);
  train_on("cpu", "to cpu");
  expect_close("to cpu", "cpu", kSteps);
  train_on("cpu", "from cpu", almost);
  train("from cpu");
  expect_close("from cpu", "cpu", kSteps);
}

TEST_P(DeviceRun, AgainResumedAndInAnyOrderOfThreadsTheBitsAreTheSame) {
  train("whole");
  train("again");
  expect_same("again", "whole");
  train("parts", {"training.stop_at_step=2"});
  EXPECT_FALSE(std::filesystem::exists(small_.path("parts/final")));
  train("parts");
  expect_same("parts", "whole");
  if (GetParam().device != "emulated") return;  // the only one that can choose the order
  for (const std::string order : {"reverse", "shuffled:1"}) {
    train(order, {}, {"env", "CRIA_EMULATOR_ORDER=" + order});
    expect_same(order, "whole");
  }
}

// The second half also with the emulator's threads in the other order.
TEST_P(DeviceRun, OnTwoRanksResumedTheBitsAreTheSame) {
  const std::string steps = "training.max_steps=2";
  train("whole", {steps}, mpirun(2));
  train("parts", {steps, "training.stop_at_step=1"}, mpirun(2));
  std::vector<std::string> in_reverse = mpirun(2);
  in_reverse.insert(in_reverse.end(), {"-x", "CRIA_EMULATOR_ORDER=reverse"});
  train("parts", {steps}, in_reverse);
  expect_same("parts", "whole", 2);
}

}  // namespace

}  // namespace cria::testing
