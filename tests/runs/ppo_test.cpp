// Whole runs of cria ppo.
#include <cmath>
#include <csignal>
#include <filesystem>
#include <random>
#include <thread>

#include <gtest/gtest.h>

#include "runs/commands.h"
#include "runs/small_run.h"
#include "support/places.h"

namespace cria::testing {

namespace {

namespace fs = std::filesystem;

// Golden models of 40,000 parameters that answer the demo world's prompts.
class Ppo : public ::testing::Test {
 protected:
  Ppo() { run_cria_well({"demo-data", "--output", path("data"), "--size", "small"}); }

  std::string path(const std::string& name) const { return directory_ / name; }

  std::vector<std::string> command(const std::string& output,
                                   const std::vector<std::string>& assignments = {}) const {
    std::vector<std::string> settings = {
        "model.path=" + golden("models/gqa_untied"),
        "data.train=[{path: " + path("data/prompts_train.jsonl") + "}]",
        "data.max_length=160",
        "training.train_batch_size=8",
        "training.max_steps=6",
        "training.output_dir=" + path(output),
        "optimizer.learning_rate=1e-3",
        "optimizer.lr_scheduler_type=constant",
        "checkpoint.save_steps=2",
        "logging.logging_steps=1",
        "ppo.helpfulness=" + golden("ppo/value_model"),
        "ppo.response_length=8",
        "ppo.num_mini_batches=2",
        "ppo.slots=4",
    };
    settings.insert(settings.end(), assignments.begin(), assignments.end());
    std::vector<std::string> words = {"ppo"};
    for (const std::string& setting : settings) {
      words.push_back("--set");
      words.push_back(setting);
    }
    return words;
  }

  void expect_same(const std::string& run, const std::string& other, int last_step) const {
    expect_same_run(path(run), path(other), last_step);
    EXPECT_EQ(read_tree(path(run) + "/rollouts"), read_tree(path(other) + "/rollouts"));
  }

 private:
  TemporaryDirectory directory_;
};

// All that a checkpoint has to keep: evaluations, adaptive beta, patience.
std::vector<std::string> everything(const std::string& data) {
  return {"training.eval_steps=1",      "data.eval=[{path: " + data + "}]", "ppo.target_kl=0.5",
          "ppo.kl_horizon=50",          "ppo.early_stopping_patience=100",  "ppo.num_ppo_epochs=2",
          "ppo.missing_eos_penalty=0.5"};
}

class PpoResume : public Ppo {
 protected:
  PpoResume() {
    // Few held-out prompts.
    const auto lines = lines_of(path("data/test_spell.jsonl"));
    write_lines(path("held_out.jsonl"), {lines.begin(), lines.begin() + 6});
  }
  std::vector<std::string> settings() const { return everything(path("held_out.jsonl")); }

  // Lets a run log so many lines, then go on for a moment that falls anywhere in an iteration.
  void wait_for(Process& process, const std::string& run, size_t lines,
                std::chrono::milliseconds longest) {
    const std::string metrics = path(run + "/metrics.jsonl");
    while (process.running() && (!fs::exists(metrics) || read_lines(metrics) < lines)) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    std::this_thread::sleep_for(longest * static_cast<int>(random_() % 100) / 100);
  }

 private:
  std::mt19937 random_{7};
};

TEST_F(PpoResume, StopAndResumeEqualsOneRun) {
  for (const char* precision : {"fp32", "bf16"}) {
    auto set = settings();
    set.push_back(std::string("training.precision=") + precision);
    const std::string whole = std::string("whole-") + precision;
    const std::string parts = std::string("parts-") + precision;
    run_cria_well(command(whole, set));
    auto stopped = set;
    stopped.push_back("training.stop_at_step=3");
    run_cria_well(command(parts, stopped));
    EXPECT_FALSE(fs::exists(path(parts + "/final")));
    run_cria_well(command(parts, set));
    expect_same(whole, parts, 6);
    const auto metrics = read_metrics(path(whole));
    EXPECT_NE(metrics.back()["eval_objective/scores"], metrics[1]["eval_objective/scores"]);
    EXPECT_NE(metrics[metrics.size() - 2]["objective/kl_coef"], metrics[0]["objective/kl_coef"]);
  }
}

// Wherever in an iteration it was: it is run again.
TEST_F(PpoResume, KilledAtRandomMoments) {
  auto set = settings();
  set.push_back("training.max_steps=12");
  set.push_back("checkpoint.save_steps=1");
  run_cria_well(command("whole", set));
  int killed = 0;
  for (size_t kill = 0; kill < 8; ++kill) {
    Process process(command("killed", set));
    wait_for(process, "killed", 2 * kill + 1, std::chrono::milliseconds(300));  // two lines a step
    process.signal(SIGKILL);
    killed += process.wait().exit_code == -SIGKILL ? 1 : 0;
  }
  EXPECT_GE(killed, 3);
  run_cria_well(command("killed", set));
  expect_same("whole", "killed", 12);
}

TEST_F(PpoResume, SigtermDuringARolloutEndsSoonAndLosesNothing) {
  // Iterations that are nearly all rollout: one answer at a time.
  const std::vector<std::string> set = {"training.max_steps=2",         "checkpoint.save_steps=0",
                                        "training.train_batch_size=32", "ppo.response_length=90",
                                        "data.max_length=250",          "ppo.slots=1"};
  run_cria_well(command("whole", set));
  {
    Process process(command("parts", set));
    wait_for(process, "parts", 1, std::chrono::milliseconds(20));
    process.signal(SIGTERM);
    const ProcessResult result = process.wait();
    EXPECT_EQ(result.exit_code, 128 + SIGTERM) << result.output << result.errors;
    EXPECT_NE(result.output.find("after step 1, saved"), std::string::npos) << result.output;
  }
  run_cria_well(command("parts", set));
  expect_same("whole", "parts", 2);
}

TEST_F(PpoResume, TerminatedAtAnyMomentAndResumed) {
  auto set = settings();
  set.push_back("training.max_steps=8");
  set.push_back("checkpoint.save_steps=0");
  run_cria_well(command("whole", set));
  for (size_t stop = 0; stop < 5; ++stop) {
    Process process(command("parts", set));
    wait_for(process, "parts", 2 * stop + 1, std::chrono::milliseconds(150));
    while (process.running() && !process.handles(SIGTERM)) std::this_thread::yield();
    process.signal(SIGTERM);
    const int exit_code = process.wait().exit_code;
    EXPECT_TRUE(exit_code == 0 || exit_code == 128 + SIGTERM) << exit_code;
  }
  run_cria_well(command("parts", set));
  expect_same("whole", "parts", 8);
}

TEST_F(PpoResume, AnotherRewardModelIsRefused) {
  fs::copy(golden("ppo/value_model"), path("reward"), fs::copy_options::recursive);
  const std::vector<std::string> set = {"ppo.helpfulness=" + path("reward")};
  auto stopped = set;
  stopped.push_back("training.stop_at_step=2");
  run_cria_well(command("run", stopped));
  std::string weights = read_bytes(path("reward/model.safetensors"));
  weights[weights.size() - 2] ^= 1;
  write_bytes(path("reward/model.safetensors"), weights);
  expect_refused(command("run", set), "is not the one that the run began with");
}

TEST_F(Ppo, TheFirstMiniBatchHasRatioOneAndNoKl) {
  for (const char* precision : {"fp32", "bf16"}) {
    for (const int ranks : {1, 2}) {
      const std::string name = std::string(precision) + std::to_string(ranks);
      const ProcessResult result =
          Process(mpirun(ranks), command(name, {std::string("training.precision=") + precision,
                                                "ppo.num_mini_batches=1", "training.max_steps=2"}))
              .wait();
      ASSERT_EQ(result.exit_code, 0) << result.output << result.errors;
      const auto metrics = read_metrics(path(name));
      for (const auto& step : metrics) {
        EXPECT_EQ(step["val/ratio"], 1.0) << name;
        EXPECT_EQ(step["policy/approxkl_avg"], 0.0) << name;
      }
      EXPECT_EQ(metrics[0]["objective/kl"], 0.0) << name;
      EXPECT_EQ(metrics[0]["objective/kl_k3"], 0.0) << name;
      EXPECT_NE(metrics[1]["objective/kl"], 0.0) << name;
    }
  }
}

TEST_F(Ppo, AnyRankCountGivesTheSameAnswersWhiteningAndMeans) {
  for (const int ranks : {1, 2, 4}) {
    const std::string name = "ranks" + std::to_string(ranks);
    const ProcessResult result =
        Process(mpirun(ranks),
                command(name, {"training.max_steps=3", "ppo.rollouts_to_write=8",
                               "ppo.num_ppo_epochs=2", "ppo.safety=" + golden("ppo/value_model")}))
            .wait();
    ASSERT_EQ(result.exit_code, 0) << result.output << result.errors;
    if (ranks == 1) continue;
    // Answers, scores and their whitening to the bit (KL too, where it is 0).
    EXPECT_EQ(read_bytes(path("ranks1/rollouts/step-1.jsonl")),
              read_bytes(path(name + "/rollouts/step-1.jsonl")));
    const auto expected = read_metrics(path("ranks1"));
    const auto metrics = read_metrics(path(name));
    ASSERT_EQ(metrics.size(), 3u);
    for (size_t i = 0; i < metrics.size(); ++i) {
      ASSERT_EQ(metrics[i].size(), expected[i].size());
      for (const auto& [figure, value] : expected[i].items()) {
        const double truth = value;
        EXPECT_NEAR(metrics[i][figure].get<double>(), truth, 1e-4 * std::max(1.0, std::abs(truth)))
            << figure << " at step " << i + 1 << " on " << ranks << " ranks";
      }
    }
    for (const char* figure : {"objective/scores", "objective/kl", "response_length/mean"}) {
      EXPECT_EQ(metrics[0][figure], expected[0][figure]) << figure;
    }
  }
}

// One prompt and answers of two tokens: the reward model, random as it is, likes some best.
TEST_F(Ppo, RaisesAToyReward) {
  write_lines(path("prompt.jsonl"), {R"({"input_ids": [1, 40, 50]})"});
  run_cria_well(command(
      "run",
      {"data.train=[{path: " + path("prompt.jsonl") + "}]", "data.max_length=64",
       "training.max_steps=20", "training.train_batch_size=64", "training.micro_batch_tokens=512",
       "optimizer.learning_rate=1e-2", "ppo.response_length=2", "ppo.num_ppo_epochs=4",
       "ppo.kl_coef=0.001", "ppo.slots=64", "checkpoint.save_steps=0"}));
  const auto metrics = read_metrics(path("run"));
  // Scores of random answers are 0.27 +- 0.7; the best there are, some 1.6.
  EXPECT_LT(metrics.front()["objective/scores"].get<double>(), 0.5);
  EXPECT_GT(metrics.back()["objective/scores"].get<double>(), 1.2);
  EXPECT_GT(metrics.back()["objective/kl"].get<double>(), 1.0);
  EXPECT_LT(metrics.back()["policy/entropy_avg"].get<double>(),
            metrics.front()["policy/entropy_avg"].get<double>());
}

TEST_F(Ppo, StopsEarlyWithTheBestPolicyKept) {
  write_lines(path("held_out.jsonl"), {lines_of(path("data/test_spell.jsonl")).front()});
  // A step so small that no evaluation is better than the first.
  const std::vector<std::string> set = {
      "training.eval_steps=1", "data.eval=[{path: " + path("held_out.jsonl") + "}]",
      "optimizer.learning_rate=1e-30", "ppo.early_stopping_patience=2"};
  run_cria_well(command("run", set));
  EXPECT_TRUE(fs::exists(path("run/checkpoint-3")));
  EXPECT_FALSE(fs::exists(path("run/checkpoint-4")));
  EXPECT_TRUE(fs::exists(path("run/best/model.safetensors")));
  EXPECT_TRUE(fs::exists(path("run/final/model.safetensors")));
  const auto before = read_tree(path("run"));
  run_cria_well(command("run", set));  // it is over
  EXPECT_EQ(before, read_tree(path("run")));
  // The best reward and the patience used are remembered.
  auto stopped = set;
  stopped.push_back("training.stop_at_step=2");
  run_cria_well(command("parts", stopped));
  run_cria_well(command("parts", set));
  expect_same("run", "parts", 3);
}

TEST_F(Ppo, RefusesWhatCannotBe) {
  const auto refused = [&](const std::string& assignment, const std::string& part) {
    expect_refused(command("run", {assignment}), part, path("run"));
  };
  refused("ppo.top_p=0.9", "ppo.top_p");
  refused("ppo.top_k=50", "ppo.top_k");
  refused("ppo.temperature=0", "ppo.temperature");
  refused("ppo.helpfulness=" + golden("models/gqa_untied"), "ppo.helpfulness");
  refused("ppo.helpfulness=" + golden("models/reward"), "ppo.helpfulness");  // 320 pieces, not 512
  refused("ppo.value_model=" + golden("models/gqa_untied"), "ppo.value_model");
  refused("ppo.value_model=" + golden("models/reward"), "ppo.value_model");
  refused("ppo.reference=" + golden("ppo/value_model"), "ppo.reference");
  refused("ppo.reference=" + golden("models/gqa_tied"), "ppo.reference");
  refused("ppo.num_mini_batches=3", "ppo.num_mini_batches");
  refused("ppo.response_length=160", "ppo.response_length");
  refused("data.over_long=truncate", "data.over_long");
  refused("ppo.early_stopping_patience=2", "ppo.early_stopping_patience");
}

TEST_F(Ppo, PromptsTooLongForAnAnswerAreLeftOutAndCounted) {
  const std::string line = lines_of(path("data/prompts_train.jsonl")).front();
  std::string longer = "{\"prompt\": \"";
  for (int i = 0; i < 200; ++i) longer += "sun ";
  write_lines(path("prompts.jsonl"), {line, longer + "\"}"});
  const ProcessResult result = run_cria(command(
      "run", {"data.train=[{path: " + path("prompts.jsonl") + "}]", "training.max_steps=1"}));
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_NE(result.output.find("1 examples"), std::string::npos) << result.output;
  EXPECT_NE(result.output.find("1 dropped as too long"), std::string::npos) << result.output;
  write_lines(path("prompts.jsonl"), {longer + "\"}"});
  expect_refused(command("none", {"data.train=[{path: " + path("prompts.jsonl") + "}]"}),
                 "data.train[0]", path("none"));
}

TEST_F(Ppo, AnswersOfOneTokenAreLearntFrom) {
  run_cria_well(command("run", {"ppo.response_length=1", "training.max_steps=2"}));
  for (const auto& step : read_metrics(path("run"))) {
    EXPECT_EQ(step["response_length/mean"], 1.0);
    EXPECT_TRUE(std::isfinite(step["loss/value_avg"].get<double>()));
  }
}

TEST_F(Ppo, WritesWhatItShouldForPeopleAndScripts) {
  // A safety model of another shape, from which the value model starts.
  run_cria_well({"init", "--config", source_path("configs/models/tiny.yaml"), "--set",
                 "num_hidden_layers=1", "--tokenizer", golden("tokenizer.model"), "--head", "score",
                 "--output", path("safety")});
  run_cria_well(
      command("run", {"training.max_steps=2", "ppo.rollouts_to_write=3",
                      "ppo.safety=" + path("safety"), "ppo.value_model=" + path("safety")}));
  const auto rollouts = json_lines(path("run/rollouts/step-2.jsonl"));
  for (const auto& rollout : rollouts) {
    EXPECT_NE(rollout["safety"], rollout["helpfulness"]);
    EXPECT_EQ(rollout["score"], rollout[rollout["is_safety_prompt"] ? "safety" : "helpfulness"]);
  }
  ASSERT_EQ(rollouts.size(), 3u);
  for (const char* field : {"prompt", "answer", "finished_by_eos", "is_safety_prompt", "score",
                            "helpfulness", "safety", "reward", "kl"}) {
    EXPECT_TRUE(rollouts[0].contains(field)) << field;
  }
  const auto metrics = json_lines(path("run/metrics.jsonl"));
  ASSERT_EQ(metrics.size(), 2u);
  for (const char* name : {"loss",
                           "objective/kl",
                           "objective/entropy",
                           "objective/non_score_reward",
                           "objective/rlhf_reward",
                           "objective/scores",
                           "objective/safety_share",
                           "policy/approxkl_avg",
                           "policy/clipfrac_avg",
                           "policy/entropy_avg",
                           "loss/policy_avg",
                           "loss/value_avg",
                           "val/clipfrac_avg",
                           "val/ratio",
                           "val/ratio_var",
                           "val/num_eos_tokens",
                           "critic/vf_explained_var",
                           "response_length/mean",
                           "response_length/clip_ratio",
                           "grad_norm",
                           "learning_rate",
                           "num_tokens",
                           "tokens_per_second",
                           "time/rollout",
                           "time/scoring",
                           "time/update"}) {
    EXPECT_TRUE(metrics[1].contains(name)) << name;
  }
  // The checkpoint's value model is a reward model's directory.
  EXPECT_TRUE(fs::exists(path("run/checkpoint-2/value/optimizer.safetensors")));
  run_cria_well({"score", "--model", path("run/checkpoint-2/value"), "--data",
                 path("data/sft_train.jsonl"), "--output", path("values.jsonl")});
}

}  // namespace

}  // namespace cria::testing
