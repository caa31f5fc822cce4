// A run that was stopped, killed or interrupted and then resumed gives what the uninterrupted run
// gives, to the bit: weights, optimizer state, data order, metrics.
#include <chrono>
#include <csignal>
#include <filesystem>
#include <random>
#include <thread>

#include <gtest/gtest.h>

#include "runs/small_run.h"

namespace cria::testing {

namespace {

namespace fs = std::filesystem;

class Resume : public ::testing::TestWithParam<Trainer> {};

INSTANTIATE_TEST_SUITE_P(Trainers, Resume,
                         ::testing::Values(Trainer::pretrain, Trainer::sft, Trainer::reward,
                                           Trainer::dpo),
                         trainer_name);

TEST_P(Resume, StopAndResumeEqualsOneRun) {
  const SmallRun small(GetParam());
  run_cria_well(small.command("whole"));
  run_cria_well(small.command("parts", {"training.stop_at_step=5"}));
  EXPECT_FALSE(fs::exists(small.path("parts/final")));
  EXPECT_TRUE(fs::exists(small.path("parts/checkpoint-5")));
  run_cria_well(small.command("parts"));
  expect_same_run(small.path("whole"), small.path("parts"), 12);
}

TEST_P(Resume, MomentsInBf16WithBf16Weights) {
  const std::vector<std::string> settings = {
      "training.precision=bf16", "training.moment_dtype=bf16", "training.gradient_dtype=bf16"};
  const SmallRun small(GetParam());
  run_cria_well(small.command("whole", settings));
  auto stopped = settings;
  stopped.push_back("training.stop_at_step=7");
  run_cria_well(small.command("parts", stopped));
  run_cria_well(small.command("parts", settings));
  expect_same_run(small.path("whole"), small.path("parts"), 12);
}

size_t logged_steps(const std::string& run) {
  std::error_code missing;
  return fs::exists(run + "/metrics.jsonl", missing) ? read_lines(run + "/metrics.jsonl") : 0;
}

TEST_P(Resume, KilledAtRandomMoments) {
  const SmallRun small(GetParam());
  // Saving after every step, so that many a kill falls into the writing of a checkpoint.
  const std::vector<std::string> settings = {"checkpoint.save_steps=1", "training.max_steps=150"};
  run_cria_well(small.command("whole", settings));

  std::mt19937 random(7);
  for (int kill = 0; kill < 10; ++kill) {
    Process process(small.command("killed", settings));
    // Somewhere within or between steps, a few steps later than where the last run was killed.
    const size_t steps = static_cast<size_t>(kill * 10) + 1 + random() % 9;
    while (logged_steps(small.path("killed")) < steps && process.running()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 5000));
    process.signal(SIGKILL);
    ASSERT_EQ(process.wait().exit_code, -SIGKILL);
  }
  run_cria_well(small.command("killed", settings));
  expect_same_run(small.path("whole"), small.path("killed"), 150);
}

TEST_P(Resume, KilledWhileSaving) {
  const SmallRun small(GetParam());
  const std::vector<std::string> settings = {"checkpoint.save_steps=1", "training.max_steps=20"};
  run_cria_well(small.command("whole", settings));
  // Waits for the partial directory of a checkpoint to appear, and kills right then.
  int killed = 0;
  for (int attempt = 0; attempt < 5; ++attempt) {
    Process process(small.command("killed", settings));
    bool saving = false;
    while (!saving && process.running()) {
      std::error_code gone;  // directories come and go while we look
      for (fs::directory_iterator entry(small.path("killed"), gone), end; !gone && entry != end;
           entry.increment(gone)) {
        saving |= entry->path().filename().string().find("partial") != std::string::npos;
      }
    }
    process.signal(SIGKILL);
    killed += process.wait().exit_code == -SIGKILL ? 1 : 0;
  }
  EXPECT_GE(killed, 3);
  run_cria_well(small.command("killed", settings));
  expect_same_run(small.path("whole"), small.path("killed"), 20);
  for (const auto& entry : fs::directory_iterator(small.path("killed"))) {
    EXPECT_EQ(entry.path().filename().string().find("partial"), std::string::npos)
        << entry.path() << " was left behind";
  }
}

TEST_P(Resume, TerminatedSavesAndExits) {
  const SmallRun small(GetParam());
  const std::vector<std::string> settings = {"checkpoint.save_steps=0", "training.max_steps=200"};
  run_cria_well(small.command("whole", settings));
  {
    Process process(small.command("parts", settings));
    // Until it has taken a step.
    while (process.running() && (!fs::exists(small.path("parts/metrics.jsonl")) ||
                                 fs::file_size(small.path("parts/metrics.jsonl")) == 0)) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    process.signal(SIGTERM);
    const ProcessResult result = process.wait();
    ASSERT_EQ(result.exit_code, 128 + SIGTERM) << result.output << result.errors;
  }
  EXPECT_FALSE(fs::exists(small.path("parts/final")));
  run_cria_well(small.command("parts", settings));
  expect_same_run(small.path("whole"), small.path("parts"), 200);
}

TEST(Resume, AnotherSettingIsRefused) {
  const SmallRun small(Trainer::sft);
  run_cria_well(small.command("run", {"training.stop_at_step=4"}));
  const ProcessResult result = run_cria(small.command("run", {"training.seed=9"}));
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_NE(result.errors.find("training.seed"), std::string::npos) << result.errors;
  const ProcessResult none = run_cria(small.command("run", {"checkpoint.resume=none"}));
  EXPECT_EQ(none.exit_code, 2);
  EXPECT_NE(none.errors.find("checkpoint.resume"), std::string::npos) << none.errors;
}

// As when srun starts several processes that know nothing of each other.
TEST(Resume, TwoRunsAtOnceInOneDirectoryAreRefused) {
  const SmallRun small(Trainer::sft);
  Process first(small.command("run", {"training.max_steps=100000", "checkpoint.save_steps=0"}));
  while (first.running() && logged_steps(small.path("run")) == 0) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  const ProcessResult second = run_cria(small.command("run"));
  EXPECT_EQ(second.exit_code, 2);
  EXPECT_NE(second.errors.find("another process is writing to"), std::string::npos)
      << second.errors;
  EXPECT_TRUE(first.running());
  first.signal(SIGTERM);
  EXPECT_EQ(first.wait().exit_code, 128 + SIGTERM);
}

TEST(Resume, AFinishedRunIsLeftAsItIs) {
  const SmallRun small(Trainer::sft);
  run_cria_well(small.command("run"));
  const auto before = read_tree(small.path("run"));
  run_cria_well(small.command("run"));
  EXPECT_EQ(before, read_tree(small.path("run")));
}

}  // namespace

}  // namespace cria::testing
