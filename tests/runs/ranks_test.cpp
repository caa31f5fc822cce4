// Runs of several ranks under mpirun.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <filesystem>
#include <thread>
#include <utility>

#include <gtest/gtest.h>

#include "runs/small_run.h"
#include "support/places.h"

namespace cria::testing {

namespace {

namespace fs = std::filesystem;

class Ranks : public ::testing::TestWithParam<Trainer> {};
INSTANTIATE_TEST_SUITE_P(Trainers, Ranks,
                         ::testing::Values(Trainer::pretrain, Trainer::sft, Trainer::reward,
                                           Trainer::dpo),
                         trainer_name);

void expect_same_on_any_rank_count(Trainer trainer, const std::string& precision) {
  const SmallRun small(trainer);
  const std::string setting = "training.precision=" + precision;
  run_cria_well(small.command("one", {"training.max_steps=6", setting}));
  for (const int ranks : {2, 4}) {
    for (const int tokens : {least_pass_tokens(trainer), 1024}) {
      const std::string name = "ranks" + std::to_string(ranks) + "-" + std::to_string(tokens);
      SCOPED_TRACE(name);
      const ProcessResult result =
          Process(mpirun(ranks),
                  small.command(name, {"training.max_steps=6", setting,
                                       "training.micro_batch_tokens=" + std::to_string(tokens)}))
              .wait();
      ASSERT_EQ(result.exit_code, 0) << result.output << result.errors;
      expect_close_metrics(small.path(name), small.path("one"), precision, 6);
    }
  }
}

TEST_P(Ranks, AnyRankCountGivesTheSameLossAndGradients) {
  expect_same_on_any_rank_count(GetParam(), "fp32");
}

TEST_P(Ranks, AnyRankCountGivesTheSameLossAndGradientsInBf16) {
  expect_same_on_any_rank_count(GetParam(), "bf16");
}

// More ranks than sequences: some have nothing to do, in training and in the evaluations.
TEST(Ranks, ThoseWithoutASequenceChangeNothing) {
  const SmallRun small(Trainer::pretrain);
  write_bytes(small.path("eval.jsonl"), R"({"text": "The hat of Migel is red."})"
                                        "\n");
  const std::vector<std::string> settings = {
      "training.max_steps=6", "training.train_batch_size=2", "training.eval_steps=2",
      "data.eval=[{path: " + small.path("eval.jsonl") + "}]"};
  run_cria_well(small.command("one", settings));
  const ProcessResult result = Process(mpirun(4), small.command("four", settings)).wait();
  ASSERT_EQ(result.exit_code, 0) << result.output << result.errors;
  const auto expected = read_metrics(small.path("one"));
  const auto metrics = read_metrics(small.path("four"));
  ASSERT_EQ(expected.size(), 9u) << "six steps and three evaluations";
  ASSERT_EQ(metrics.size(), expected.size());
  for (size_t i = 0; i < metrics.size(); ++i) {
    ASSERT_EQ(metrics[i].size(), expected[i].size());
    for (const auto& [name, value] : expected[i].items()) {
      const double figure = value;
      EXPECT_LE(std::abs(metrics[i].at(name).get<double>() - figure), 1e-4 * std::abs(figure))
          << name << " in line " << i + 1;
    }
  }
}

// Every figure of an evaluation: parts of the data, extremes and calibration included. Scores of
// order 1 are off by sums over other orders.
TEST(Ranks, EvaluationsOfPreferencesAreTheSame) {
  for (const Trainer trainer : {Trainer::reward, Trainer::dpo}) {
    const SmallRun small(trainer);
    const std::vector<std::string> settings = {
        "training.max_steps=2",
        "data.eval=[{path: " + small.path("data/preferences_helpful_test.jsonl") +
            "}, {path: " + small.path("data/preferences_safety_test.jsonl") + "}]"};
    run_cria_well(small.command("one", settings));
    const auto expected = read_metrics(small.path("one")).back();
    ASSERT_TRUE(expected.contains("eval_accuracy/safety")) << expected;
    for (const int ranks : {2, 4}) {
      const std::string name = "ranks" + std::to_string(ranks);
      ASSERT_EQ(Process(mpirun(ranks), small.command(name, settings)).wait().exit_code, 0);
      const auto found = read_metrics(small.path(name)).back();
      ASSERT_EQ(found.size(), expected.size());
      for (const auto& [figure, value] : expected.items()) {
        const double wanted = value;
        EXPECT_NEAR(found[figure].get<double>(), wanted, 1e-4 * std::max(1.0, std::abs(wanted)))
            << figure << " on " << ranks << " ranks";
      }
    }
    if (trainer == Trainer::dpo) {  // each rank scored its share
      EXPECT_TRUE(read_bytes(small.path("one/reference_logprobs.json")) ==
                  read_bytes(small.path("ranks4/reference_logprobs.json")));
    }
  }
}

TEST_P(Ranks, TwiceTheSameBits) {
  for (const char* precision : {"fp32", "bf16"}) {
    const SmallRun small(GetParam());
    const std::string setting = std::string("training.precision=") + precision;
    for (const char* name : {"a", "b"}) {
      ASSERT_EQ(Process(mpirun(2), small.command(name, {setting})).wait().exit_code, 0);
    }
    expect_same_run(small.path("a"), small.path("b"), 12);
  }
}

// As on hosts that do not share the directory: one rank finds a checkpoint, the other none.
TEST(Ranks, ThoseThatFindOtherCheckpointsAreRefused) {
  const SmallRun small(Trainer::sft);
  run_cria_well(small.command("shared", {"training.stop_at_step=4"}));
  const auto before = read_tree(small.path("shared"));
  std::vector<std::string> first = small.command("shared");
  const std::vector<std::string> launcher = mpirun(1);
  first.push_back(":");
  first.insert(first.end(), launcher.begin() + 3, launcher.end());
  first.push_back(cria_binary());
  const std::vector<std::string> second = small.command("elsewhere");
  first.insert(first.end(), second.begin(), second.end());
  const ProcessResult result = Process(launcher, first).wait();
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_NE(result.errors.find("error: training.output_dir: the ranks do not go on from"),
            std::string::npos)
      << result.errors;
  EXPECT_EQ(read_tree(small.path("shared")), before);
}

TEST(Ranks, OnlyTheFirstPrints) {
  const SmallRun small(Trainer::sft);
  const ProcessResult one = run_cria(small.command("one"));
  const ProcessResult two = Process(mpirun(2), small.command("two")).wait();
  const auto lines = [](const std::string& text) {
    return std::count(text.begin(), text.end(), '\n');
  };
  EXPECT_EQ(lines(one.output), lines(two.output)) << two.output;
}

// To mpirun, which passes it on to all, or to one rank, of which the others learn from it alone.
enum class SignalTo { mpirun, last_rank };

class Stopped : public ::testing::TestWithParam<std::pair<int, SignalTo>> {};
INSTANTIATE_TEST_SUITE_P(Signals, Stopped,
                         ::testing::Values(std::pair(SIGTERM, SignalTo::mpirun),
                                           std::pair(SIGUSR1, SignalTo::mpirun),
                                           std::pair(SIGTERM, SignalTo::last_rank)));

// The step of the one checkpoint of a run, 0 if there is none.
int saved_step(const std::string& run) {
  for (const auto& entry : fs::directory_iterator(run)) {
    const std::string name = entry.path().filename();
    if (name.starts_with("checkpoint-")) return std::stoi(name.substr(name.find('-') + 1));
  }
  return 0;
}

TEST_P(Stopped, AllRanksAfterTheSameStepWithACheckpoint) {
  const SmallRun small(Trainer::sft);
  // Long enough not to end before the signal arrives; what is left after it is cut short by
  // stop_at_step. Few lines: mpirun reads none while it waits to pass SIGTERM on, and a rank that
  // fills the pipe waits too.
  const std::vector<std::string> settings = {"training.max_steps=100000", "checkpoint.save_steps=0",
                                             "logging.logging_steps=200"};
  {
    Process process(mpirun(2), small.command("parts", settings));
    while (process.running() && (!fs::exists(small.path("parts/metrics.jsonl")) ||
                                 fs::file_size(small.path("parts/metrics.jsonl")) == 0)) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    const auto [signal, to] = GetParam();
    if (to == SignalTo::mpirun) {
      process.signal(signal);
    } else {
      const std::vector<pid_t> ranks = process.children();
      ASSERT_EQ(ranks.size(), 2u);
      kill(ranks[1], signal);
    }
    EXPECT_NE(process.wait().exit_code, 0);
  }
  const int steps = saved_step(small.path("parts"));
  ASSERT_GT(steps, 0) << "no checkpoint";
  const int end = steps + 5;
  auto shorter = settings;
  shorter.push_back("training.stop_at_step=" + std::to_string(end));
  ASSERT_EQ(Process(mpirun(2), small.command("parts", shorter)).wait().exit_code, 0);
  ASSERT_EQ(Process(mpirun(2), small.command("whole", shorter)).wait().exit_code, 0);
  expect_same_checkpoint(small.path("whole"), small.path("parts"), end);
}

TEST(Ranks, ARankThatIsKilledEndsTheRunWithTheCauseNamed) {
  const SmallRun small(Trainer::sft);
  const std::vector<std::string> settings = {"training.max_steps=60", "checkpoint.save_steps=10"};
  ASSERT_EQ(Process(mpirun(2), small.command("whole", settings)).wait().exit_code, 0);
  {
    Process process(mpirun(2), small.command("killed", settings));
    while (process.running() && !fs::exists(small.path("killed/checkpoint-20"))) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    const std::vector<pid_t> ranks = process.children();
    ASSERT_EQ(ranks.size(), 2u);
    kill(ranks[1], SIGKILL);
    const ProcessResult result = process.wait();
    EXPECT_NE(result.exit_code, 0);
    EXPECT_NE((result.output + result.errors).find("signal 9"), std::string::npos)
        << result.output << result.errors;
  }
  ASSERT_EQ(Process(mpirun(2), small.command("killed", settings)).wait().exit_code, 0);
  expect_same_run(small.path("whole"), small.path("killed"), 60);
}

TEST(Ranks, AnErrorOfOneRankIsShownAndEndsAll) {
  const SmallRun small(Trainer::sft);
  const ProcessResult result =
      Process(mpirun(2),
              small.command("run", {"optimizer.learning_rate=1e30", "optimizer.warmup_steps=0",
                                    "training.max_steps=50"}))
          .wait();
  EXPECT_NE(result.exit_code, 0);
  EXPECT_NE(result.errors.find("error: step "), std::string::npos) << result.errors;
}

}  // namespace

}  // namespace cria::testing
