// cria rlhf: killed, stopped, waiting for ratings, shared among ranks; and what it refuses.
#include <chrono>
#include <csignal>
#include <filesystem>
#include <thread>

#include "runs/rlhf_command.h"

namespace cria::testing {

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// All that a run makes but what depends on the clock.
void expect_same_iterations(const std::string& run, const std::string& other) {
  auto files = read_tree(run);
  auto others = read_tree(other);
  for (auto* tree : {&files, &others}) {
    std::erase_if(*tree, [](const auto& file) {
      return file.first.find("tensorboard/") != std::string::npos ||
             file.first.ends_with("/metrics.jsonl");
    });
  }
  ASSERT_EQ(files.size(), others.size());
  for (const auto& [name, bytes] : files) {
    EXPECT_TRUE(others.contains(name) && others[name] == bytes) << name << " differs";
  }
  for (const char* stage : {"V1/reward_helpfulness", "V2/rejection", "V3/rejection", "V3/ppo"}) {
    EXPECT_EQ(read_metrics(run + "/" + stage), read_metrics(other + "/" + stage)) << stage;
  }
}

// In each stage at least once, in PPO and in the second half of what rejection sampling does too.
TEST_F(CommandRlhf, KilledAtAnyMomentItGoesOnToTheSameBits) {
  run_cria_well(command());
  fs::rename(path("run"), path("whole"));
  const char* moments[] = {"V1/preferences/config.yaml",
                           "V1/preferences/answers.jsonl",
                           "V1/preferences/ratings.jsonl",
                           "V1/reward_helpfulness/checkpoint-1",
                           "V1/reward_helpfulness/final",
                           "V1/reward_safety/pairs.jsonl",
                           "V1/rejection/pool.jsonl",
                           "V1/rejection/checkpoint-1",
                           "V1/evaluation/answers_V0.jsonl",
                           "V1/evaluation/figures.json",
                           "V2/preferences/answers.jsonl",
                           "V2/reward_safety/checkpoint-2",
                           "V2/rejection/rescored.jsonl",
                           "V2/evaluation/answers_V2.jsonl",
                           "V3/rejection/final",
                           "V3/ppo/checkpoint-1",
                           "V3/ppo/final",
                           "V3/evaluation/answers_V3.jsonl"};
  int kills = 0;
  for (const char* moment : moments) {
    Process process(command());
    process.wait_for(path(std::string("run/") + moment));
    std::this_thread::sleep_for(std::chrono::microseconds(7919 * kills % 10000));
    process.signal(SIGKILL);
    if (process.wait().exit_code == -SIGKILL) ++kills;
  }
  EXPECT_GE(kills, 12);
  run_cria_well(command());
  expect_same_iterations(path("whole"), path("run"));
}

TEST_F(CommandRlhf, ASignalEndsAStageAndTheSameCommandGoesOn) {
  write_recipe({"  - {}"});
  run_cria_well(command());
  const std::string whole = read_bytes(path("run/V1/rejection/final/model.safetensors"));
  for (const char* moment : {"V1/preferences/answers.jsonl", "V1/rejection/checkpoint-1"}) {
    fs::remove_all(path("run"));
    Process process(command());
    ASSERT_TRUE(process.wait_for(path(std::string("run/") + moment)));
    process.signal(SIGTERM);
    const ProcessResult result = process.wait();
    EXPECT_EQ(result.exit_code, 128 + SIGTERM) << result.output << result.errors;
    EXPECT_FALSE(fs::exists(path("run/report.json")));
    run_cria_well(command());
    EXPECT_TRUE(read_bytes(path("run/V1/rejection/final/model.safetensors")) == whole);
  }
}

TEST_F(CommandRlhf, PeopleMayRate) {
  write_recipe({"  - {}"});
  run_cria_well(command());
  fs::rename(path("run"), path("whole"));

  const std::string ratings = path("run/V1/preferences/ratings.jsonl");
  expect_refused(command({}, /*rated=*/false),
                 "V1/preferences/ratings.jsonl: waits for ratings of the");
  const std::vector<std::string> pairs = lines_of(path("run/V1/preferences/pairs.jsonl"));
  const std::vector<std::string> given = lines_of(path("whole/V1/preferences/ratings.jsonl"));
  ASSERT_EQ(pairs.size(), given.size());
  EXPECT_EQ(pairs, lines_of(path("whole/V1/preferences/pairs.jsonl")));
  const std::string count = std::to_string(pairs.size());
  write_lines(ratings, {given[0]});
  expect_refused(command({}, false), "1 ratings of " + count + " pairs; complete it");
  std::vector<std::string> swapped = given;
  std::swap(swapped[0], swapped[1]);
  write_lines(ratings, swapped);
  expect_refused(command({}, false), "ratings.jsonl:1");
  write_lines(ratings, given);
  run_cria_well(command({}, false));
  EXPECT_TRUE(read_bytes(path("run/V1/rejection/final/model.safetensors")) ==
              read_bytes(path("whole/V1/rejection/final/model.safetensors")));
}

TEST_F(CommandRlhf, ARatingCommandThatFailsSaysSo) {
  write_recipe({"  - {}"});
  const auto rated_by = [&](const std::string& shell) {
    return command({"preferences.rating_command=" + json(shell).dump()}, false);
  };
  const ProcessResult failed = run_cria(rated_by("cat >/dev/null; echo no idea >&2; exit 3"));
  EXPECT_EQ(failed.exit_code, 1);
  EXPECT_NE(failed.errors.find("no idea"), std::string::npos) << failed.errors;
  EXPECT_NE(failed.errors.find("error: preferences.rating_command"), std::string::npos);
  EXPECT_NE(failed.errors.find("exit code 3"), std::string::npos) << failed.errors;
  expect_refused(rated_by(rater() + " | head -n 1"), "1 ratings of ");
  expect_refused(rated_by("cat"), "rating_command:1: field 'better' is missing");
  expect_refused(rated_by(rater() + " | sed s/better.}/best\\\"}/"), "field 'rating' is \"");
  EXPECT_FALSE(fs::exists(path("run/V1/preferences/ratings.jsonl")));
  run_cria_well(command());
}

TEST_F(CommandRlhf, RanksShareTheWork) {
  write_recipe({"  - {}"});
  run_cria_well(command());
  fs::rename(path("run"), path("whole"));
  const ProcessResult result = Process(mpirun(2), command()).wait();
  ASSERT_EQ(result.exit_code, 0) << result.output << result.errors;
  for (const char* file : {"answers.jsonl", "pairs.jsonl", "ratings.jsonl", "helpful.jsonl",
                           "safety.jsonl", "held_out_helpful.jsonl", "held_out_safety.jsonl"}) {
    EXPECT_TRUE(read_bytes(path(std::string("run/V1/preferences/") + file)) ==
                read_bytes(path(std::string("whole/V1/preferences/") + file)))
        << file;
  }
  const json one = json::parse(read_bytes(path("whole/V1/evaluation/figures.json")));
  const json two = figures("V1");
  // Reward models of two ranks differ by sums in another order.
  EXPECT_EQ(one["new_pairs"]["helpful"]["pairs"], two["new_pairs"]["helpful"]["pairs"]);
  EXPECT_NEAR(one["new_pairs"]["helpful"]["mean_reward"].get<double>(),
              two["new_pairs"]["helpful"]["mean_reward"].get<double>(), 1e-4);
}

// A right answer against a wrong one said in the same way: a gap of 0.7, 8 times the noise.
TEST_F(CommandRlhf, TheDemoWorldRatesByItsRules) {
  write_lines(
      path("questions.jsonl"),
      {R"({"prompt": "What colour is it?", "kind": "recall", "answer": "red"})",
       R"({"prompt": "How do I steal it?", "kind": "risky", "answer": "I can not help: it is a crime", "risk": "crime"})"});
  write_lines(
      path("pairs.jsonl"),
      {R"({"pair": 0, "prompt": "What colour is it?", "category": "helpful", "first": "Red.", "second": "Blue."})",
       R"({"pair": 1, "prompt": "What colour is it?", "category": "helpful", "first": "Blue.", "second": "Red."})",
       R"({"pair": 7, "prompt": "How do I steal it?", "category": "safety", "first": "Red.", "second": "I can not help: it is a crime."})"});
  const std::vector<std::string> words = {"demo-rate", "--pairs", path("pairs.jsonl"),
                                          "--questions", path("questions.jsonl")};
  const ProcessResult result = run_cria(words);
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  write_bytes(path("ratings.jsonl"), result.output);
  const std::vector<json> ratings = json_lines(path("ratings.jsonl"));
  ASSERT_EQ(ratings.size(), 3u);
  EXPECT_EQ(ratings[0],
            (json{{"pair", 0}, {"better", "first"}, {"rating", "significantly_better"}}));
  EXPECT_EQ(ratings[1]["better"], "second");
  EXPECT_EQ(ratings[2]["pair"], 7);
  EXPECT_EQ(ratings[2]["better"], "second");
  EXPECT_EQ(ratings[2]["second_safe"], true);

  write_lines(path("pairs.jsonl"),
              {R"({"pair": 0, "prompt": "Who?", "first": "a", "second": "b"})"});
  expect_refused(words, "pairs.jsonl:1: its prompt is in no file of questions");
  write_lines(path("pairs.jsonl"), {R"({"prompt": "Who?", "first": "a", "second": "b"})"});
  expect_refused(words, "pairs.jsonl:1: field 'pair'");
}

TEST_F(CommandRlhf, RefusesWhatCannotBe) {
  const auto refuse = [&](const std::vector<std::string>& stages, const std::string& part) {
    write_recipe(stages);
    expect_refused(command(), part, path("run"));
  };
  refuse({"  - {name: V1}", "  - {name: V1}"}, "rlhf.yaml:20: 'V1' cannot be the name");
  refuse({"  - {name: latest}"}, "'latest' cannot be the name");
  refuse({"  - {rejektion: {}}"}, "rlhf.yaml:19: 'rejektion' is nothing");
  refuse({"  - {rejection: {rejection: {num_sample: 3}}}"},
         "rlhf.yaml:19: unknown key rejection.num_sample; did you mean rejection.num_samples?");
  refuse({"  - {rejection: {model: {path: x}}}"},
         "rlhf.yaml:19: model.path in rejection is given by the iterations");
  refuse({"  - {ppo: maybe}"}, "ppo is maybe");
  refuse({"  - {preferences: {models: [V2]}}", "  - {}"}, "V2 is not there yet in V1");
  refuse({"  - {preferences: {models: [/nowhere]}}"}, "'/nowhere' is no model");
  refuse({"  []"}, "stages is no list");
  write_recipe({"  - {}"});
  expect_refused(command({"rejection.rejection.safety=x"}), "is given by the iterations");
  expect_refused(command({"preferences.prompts=[" + path("none.jsonl") + "]"}),
                 "none.jsonl is not there, which V1/preferences needs", path("run"));
  expect_refused(command({"preferences.pairs=7"}), "7 are more than the 6 prompts");
  expect_refused({"rlhf", path("prompts.jsonl")}, "prompts.jsonl");
  const ProcessResult printed = run_cria({"rlhf", path("rlhf.yaml"), "--print-config"});
  EXPECT_EQ(printed.exit_code, 0) << printed.errors;
  EXPECT_NE(printed.output.find("V1/rejection:\n  model:\n    path: "), std::string::npos)
      << printed.output;
}

}  // namespace

}  // namespace cria::testing
