// cria rejection: interrupted, continued, shared among ranks.
#include <chrono>
#include <csignal>
#include <filesystem>
#include <thread>

#include "runs/rejection_command.h"

namespace cria::testing {

namespace {

namespace fs = std::filesystem;

// While it samples and scores, and while it trains.
TEST_F(CommandRejection, KilledAtAnyMomentItGoesOnToTheSameBits) {
  run_whole();
  const std::string whole = read_bytes(path("whole/pool.jsonl"));
  EXPECT_GE(kill_often(command("parts"), path("parts"), whole, 7, std::chrono::milliseconds(20)),
            4);
  run_cria_well(command("parts"));
  expect_same("parts");
}

TEST_F(CommandRejection, ATornEndIsCutOff) {
  run_whole();
  const std::string whole = read_bytes(path("whole/pool.jsonl"));
  fs::create_directory(path("torn"));
  fs::copy(path("whole/sampling.json"), path("torn/sampling.json"));
  const std::string torn[] = {whole.substr(0, whole.size() / 2),      // within a line
                              whole.substr(0, whole.find('\n') + 1),  // within a prompt
                              whole.substr(0, whole.size() - 1),      // the last newline
                              whole.substr(0, whole.size() / 3) + std::string(100, '\0')};
  for (const std::string& bytes : torn) {
    write_bytes(path("torn/pool.jsonl"), bytes);
    run_cria_well(command("torn"));
    expect_same("torn");
    for (const char* part : {"checkpoint-2", "checkpoint-4", "final"}) {
      fs::remove_all(path(std::string("torn/") + part));
    }
  }
}

TEST_F(CommandRejection, ASignalKeepsWholePromptsAndTheSameCommandGoesOn) {
  run_whole({"rejection.max_new_tokens=64"});
  for (const int signal : {SIGTERM, SIGINT}) {
    Process process(command("parts", {"rejection.max_new_tokens=64"}));
    ASSERT_TRUE(process.wait_for(path("parts/pool.jsonl")));
    process.signal(signal);
    const ProcessResult result = process.wait();
    EXPECT_EQ(result.exit_code, 128 + signal) << result.output << result.errors;
    EXPECT_EQ(read_lines(path("parts/pool.jsonl")) % kSamples, 0u);
    EXPECT_LT(read_lines(path("parts/pool.jsonl")), kPrompts * kSamples);
    EXPECT_FALSE(fs::exists(path("parts/selected.jsonl")));
    run_cria_well(command("parts", {"rejection.max_new_tokens=64"}));
    expect_same("parts");
    fs::remove_all(path("parts"));
  }
}

TEST_F(CommandRejection, AnyRankCountGivesTheSamePool) {
  run_whole();
  for (const int ranks : {1, 2}) {
    const std::string run = "ranks" + std::to_string(ranks);
    const ProcessResult result =
        Process(mpirun(ranks), command(run, {"training.max_steps=1"})).wait();
    ASSERT_EQ(result.exit_code, 0) << result.output << result.errors;
    for (const char* file : {"pool.jsonl", "selected.jsonl"}) {
      EXPECT_TRUE(read_bytes(path(run + "/" + file)) ==
                  read_bytes(path(std::string("whole/") + file)))
          << file << " on " << ranks;
    }
  }
}

TEST_F(CommandRejection, APoolIsContinuedWithItsOwnSettingsOnly) {
  run_whole();
  for (const char* part : {"checkpoint-2", "checkpoint-4", "final"}) {
    fs::remove_all(path(std::string("whole/") + part));
  }
  const std::string pool = read_bytes(path("whole/pool.jsonl"));
  expect_refused(command("whole", {"rejection.num_samples=2"}), "rejection.num_samples");
  expect_refused(command("whole", {"training.seed=2"}), "training.seed");
  // Another model in the same place.
  fs::rename(path("safe"), path("was_safe"));
  make_model("safe", "9", {"--head", "score"});
  expect_refused(command("whole"), "rejection.safety");
  EXPECT_TRUE(read_bytes(path("whole/pool.jsonl")) == pool);
  fs::remove_all(path("safe"));
  fs::rename(path("was_safe"), path("safe"));
  // What is chosen of the pool may change as long as nothing is trained on it.
  run_cria_well(command("whole", {"rejection.select_top=2"}));
  EXPECT_EQ(read_lines(path("whole/selected.jsonl")), 2 * kPrompts);
  EXPECT_TRUE(read_bytes(path("whole/pool.jsonl")) == pool);
  expect_refused(command("whole"), "rejection.select_top");
}

}  // namespace

}  // namespace cria::testing
