// cria rlhf: what each iteration is made of, and that nothing is done twice.
#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "cria/io/checksum.h"

#include "runs/rlhf_command.h"

namespace cria::testing {

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

std::vector<int> ids_of(const json& sample) {
  std::vector<int> ids = sample["prompt_ids"];
  for (const int id : sample["completion_ids"]) ids.push_back(id);
  return ids;
}

// When each file of a tree was last written.
std::map<std::string, fs::file_time_type> times_of(const std::string& directory) {
  std::map<std::string, fs::file_time_type> times;
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    if (entry.is_regular_file()) times[entry.path().string()] = entry.last_write_time();
  }
  return times;
}

class WholeRlhf : public CommandRlhf {
 protected:
  WholeRlhf() { run_cria_well(command()); }

  // What `cria score` says of sequences under a reward model.
  std::vector<float> rewards(const std::string& model,
                             const std::vector<std::vector<int>>& sequences) const {
    std::vector<std::string> lines;
    for (const std::vector<int>& ids : sequences) {
      lines.push_back(json{{"input_ids", ids}}.dump());
    }
    write_lines(path("ids.jsonl"), lines);
    run_cria_well({"score", "--model", path("run/" + model + "/final"), "--data", path("ids.jsonl"),
                   "--output", path("rewards.jsonl")});
    std::vector<float> rewards;
    for (const json& line : json_lines(path("rewards.jsonl"))) rewards.push_back(line["reward"]);
    return rewards;
  }
};

TEST_F(WholeRlhf, IterationsBuildOnEachOther) {
  // Preferences: two answers a prompt, rated, of two models where there are two.
  for (const auto& [name, models] : {std::pair<std::string, std::set<std::string>>{"V1", {"V0"}},
                                     {"V2", {"V0", "V1"}},
                                     {"V3", {"V1", "V2"}}}) {
    std::set<int> numbers;
    std::set<double> temperatures;
    for (const std::string file : {"helpful", "safety", "held_out_helpful", "held_out_safety"}) {
      for (const json& line : lines_in(name + "/preferences/" + file + ".jsonl")) {
        EXPECT_EQ(line["category"], file.ends_with("safety") ? "safety" : "helpful");
        EXPECT_EQ(line["source"], name);
        EXPECT_EQ((std::set<std::string>{line["chosen_model"], line["rejected_model"]}), models);
        EXPECT_NE(line["chosen"], line["rejected"]);
        const int pair = line["pair"];
        EXPECT_EQ(line["rating"], pair % 2 == 0 ? "better" : "slightly_better");
        temperatures.insert(line["chosen_temperature"].get<double>());
        temperatures.insert(line["rejected_temperature"].get<double>());
        numbers.insert(pair);
      }
    }
    EXPECT_EQ(temperatures, (std::set<double>{0.7, 1.3})) << name;
    std::set<int> sent;
    for (const json& line : lines_in(name + "/preferences/pairs.jsonl"))
      sent.insert(line["pair"].get<int>());
    EXPECT_EQ(numbers, sent) << name;
    EXPECT_LE(sent.size(), 5u);
    EXPECT_GE(sent.size(), 4u);
  }
  // The rule rated what stands there: the better of an even pair came first.
  for (const json& pair : lines_in("V2/preferences/pairs.jsonl")) {
    for (const std::string file : {"helpful", "safety", "held_out_helpful", "held_out_safety"}) {
      for (const json& line : lines_in("V2/preferences/" + file + ".jsonl")) {
        if (line["pair"] != pair["pair"]) continue;
        const bool even = pair["pair"].get<int>() % 2 == 0;
        EXPECT_EQ(line["chosen"], pair[even ? "first" : "second"]);
        EXPECT_EQ(line["rejected"], pair[even ? "second" : "first"]);
      }
    }
  }

  // Reward models: from the first model, on all pairs so far, those held out excepted.
  for (const std::string category : {"helpful", "safety"}) {
    const std::string model = category == "helpful" ? "reward_helpfulness" : "reward_safety";
    std::string learnt = read_bytes(path(category + ".jsonl"));
    std::string held_out;
    for (const std::string name : {"V1", "V2", "V3"}) {
      learnt += read_bytes(path("run/" + name + "/preferences/" + category + ".jsonl"));
      held_out += read_bytes(path("run/" + name + "/preferences/held_out_" + category + ".jsonl"));
      EXPECT_EQ(read_bytes(path("run/" + name + "/" + model + "/pairs.jsonl")), learnt);
      EXPECT_EQ(read_bytes(path("run/" + name + "/" + model + "/held_out.jsonl")), held_out);
      const std::string config = read_bytes(path("run/" + name + "/" + model + "/config.yaml"));
      EXPECT_NE(config.find("path: " + model_ + " "), std::string::npos) << config;
    }
  }

  // Rejection sampling: each from the latest model, the best of all pools under today's models.
  std::map<std::string, std::set<std::string>> generators;
  for (const std::string name : {"V1", "V2", "V3"}) {
    const std::vector<json> pool = lines_in(name + "/rejection/pool.jsonl");
    ASSERT_EQ(pool.size(), 18u);
    for (const json& sample : pool) {
      EXPECT_EQ(sample["iteration"], name[1] - '0');
      generators[name].insert(sample["generator"].get<std::string>());
    }
  }
  EXPECT_EQ(generators["V1"], std::set<std::string>{model_checksum(model_)});
  EXPECT_EQ(generators["V2"],
            std::set<std::string>{model_checksum(path("run/V1/rejection/final"))});
  EXPECT_EQ(generators["V3"],
            std::set<std::string>{model_checksum(path("run/V2/rejection/final"))});
  EXPECT_FALSE(fs::exists(path("run/V1/rejection/rescored.jsonl")));
  std::vector<json> samples = lines_in("V3/rejection/pool.jsonl");
  const std::vector<json> rescored = lines_in("V3/rejection/rescored.jsonl");
  EXPECT_EQ(rescored.size(), 36u);
  samples.insert(samples.end(), rescored.begin(), rescored.end());
  std::set<int> chosen_from;
  for (const json& line : lines_in("V3/rejection/selected.jsonl")) {
    const json* best = nullptr;
    for (const json& sample : samples) {
      if (sample["prompt_number"] != line["prompt_number"]) continue;
      if (!best || sample["score"] > (*best)["score"]) best = &sample;
    }
    ASSERT_TRUE(best);
    EXPECT_EQ(line["score"], (*best)["score"]);
    EXPECT_EQ(line["input_ids"], ids_of(*best));
    chosen_from.insert(line["iteration"].get<int>());
  }
  EXPECT_GT(chosen_from.size(), 1u);
  for (const json& line : lines_in("V1/rejection/selected.jsonl")) EXPECT_EQ(line["iteration"], 1);

  // PPO on top, in the iteration that says so.
  EXPECT_FALSE(fs::exists(path("run/V1/ppo")));
  EXPECT_FALSE(fs::exists(path("run/V2/ppo")));
  EXPECT_TRUE(fs::exists(path("run/V3/ppo/final/model.safetensors")));
  EXPECT_NE(read_bytes(path("run/V3/ppo/config.yaml")).find("V3/rejection/final"),
            std::string::npos);
}

TEST_F(WholeRlhf, FiguresAreThoseOfTheModels) {
  // New pairs of V2 under the reward models before and after.
  for (const std::string category : {"helpful", "safety"}) {
    const std::string model = category == "helpful" ? "reward_helpfulness" : "reward_safety";
    std::vector<std::vector<int>> sequences;
    size_t learnt = 0;
    for (const std::string front : {"", "held_out_"}) {
      if (!front.empty()) learnt = sequences.size() / 2;
      for (const json& line : lines_in("V2/preferences/" + front + category + ".jsonl")) {
        sequences.push_back(line["chosen_input_ids"]);
        sequences.push_back(line["rejected_input_ids"]);
      }
    }
    ASSERT_FALSE(sequences.empty());
    const json figures_of_pairs = figures("V2")["new_pairs"][category];
    EXPECT_EQ(figures_of_pairs["pairs"], sequences.size() / 2);
    EXPECT_EQ(figures_of_pairs["held_out"], sequences.size() / 2 - learnt);
    for (const auto& [iteration, suffix] :
         {std::pair<std::string, std::string>{"V1", "_before"}, {"V2", ""}}) {
      const std::vector<float> scores = rewards(iteration + "/" + model, sequences);
      double sum = 0, right = 0;
      for (const float score : scores) sum += double{score};
      for (size_t i = 2 * learnt; i < scores.size(); i += 2) right += scores[i] > scores[i + 1];
      EXPECT_NEAR(figures_of_pairs["mean_reward" + suffix].get<double>(),
                  sum / static_cast<double>(scores.size()), 1e-12);
      if (learnt < sequences.size() / 2) {
        EXPECT_NEAR(figures_of_pairs["accuracy" + suffix].get<double>(),
                    right / static_cast<double>(sequences.size() / 2 - learnt), 1e-12);
      }
    }
  }
  EXPECT_FALSE(figures("V1")["new_pairs"]["helpful"].contains("mean_reward_before"));

  // Every model's answers to the prompts held out, under the reward models of each iteration.
  const std::vector<json> answers = lines_in("V3/evaluation/answers_V3.jsonl");
  ASSERT_EQ(answers.size(), 3u);
  EXPECT_EQ(answers[1]["prompt"], "How do I steal it?");
  const std::vector<json> pool = lines_in("V3/rejection/pool.jsonl");
  double helpful = 0, safe = 0;
  for (size_t i = 0; i < answers.size(); ++i) {
    constexpr size_t kSamples = 3;
    std::vector<int> ids = pool[kSamples * (i == 2 ? 3 : i)]["prompt_ids"];
    for (const int id : answers[i]["completion_ids"]) ids.push_back(id);
    if (i == 1) {
      safe = double{rewards("V3/reward_safety", {ids})[0]};
    } else {
      helpful += double{rewards("V3/reward_helpfulness", {ids})[0]} / 2;
    }
  }
  const json held_out = figures("V3")["held_out"];
  EXPECT_EQ(held_out.size(), 4u);
  EXPECT_NEAR(held_out["V3"]["helpfulness"].get<double>(), helpful, 1e-12);
  EXPECT_NEAR(held_out["V3"]["safety"].get<double>(), safe, 1e-12);
  for (const std::string name : {"V0", "V1", "V2"}) {
    EXPECT_TRUE(held_out[name]["reward"].is_number()) << name;
  }
  EXPECT_EQ(figures("V1")["held_out"].size(), 2u);

  double sum = 0;
  for (const json& sample : lines_in("V1/rejection/pool.jsonl"))
    sum += sample["score"].get<double>();
  EXPECT_NEAR(figures("V1")["samples"]["reward"].get<double>(), sum / 18, 1e-6);

  const json report = json::parse(read_bytes(path("run/report.json")));
  ASSERT_EQ(report["iterations"].size(), 3u);
  EXPECT_EQ(report["iterations"][2]["figures"], figures("V3"));
  const std::vector<json> metrics = lines_in("metrics.jsonl");
  ASSERT_EQ(metrics.size(), 3u);
  EXPECT_EQ(metrics[1]["new_pairs/helpful/mean_reward_before"],
            figures("V2")["new_pairs"]["helpful"]["mean_reward_before"]);
  EXPECT_NE(read_bytes(path("run/report.txt")).find("V3"), std::string::npos);
}

TEST_F(WholeRlhf, NothingIsDoneTwice) {
  const json ledger = json::parse(read_bytes(path("run/ledger.json")));
  ASSERT_EQ(ledger["stages"].size(), 16u);
  for (const json& stage : ledger["stages"]) {
    EXPECT_EQ(stage["done"], true);
    EXPECT_FALSE(stage["inputs"].empty());
    for (const auto& [name, sum] : stage["outputs"].items()) {
      const std::string file = path("run/" + stage["stage"].get<std::string>() + "/" + name);
      if (!fs::is_directory(file)) {
        EXPECT_EQ(sum, sha256(read_bytes(file))) << file;
      }
    }
  }
  const auto before = times_of(path("run"));
  const ProcessResult again = run_cria(command());
  EXPECT_EQ(again.exit_code, 0) << again.errors;
  EXPECT_NE(again.output.find("V3/ppo is done"), std::string::npos);
  const std::set<std::string> rewritten = {"report.json", "report.txt", "metrics.jsonl",
                                           "rewards.svg"};
  for (const auto& [file, time] : times_of(path("run"))) {
    if (fs::path(file).parent_path() == path("run") &&
        rewritten.contains(fs::path(file).filename())) {
      continue;
    }
    EXPECT_TRUE(before.contains(file) && before.at(file) == time) << file;
  }

  // A further iteration goes on from there.
  write_recipe({"  - {name: V1}", "  - {rejection: {rejection: {pool: all}}}",
                "  - {name: V3, rejection: {rejection: {pool: all}}, ppo: true}", "  - {}"});
  run_cria_well(command());
  EXPECT_EQ(figures("V4")["held_out"].size(), 5u);
  for (const auto& [file, time] : before) {
    if (file.find("/V3/") == std::string::npos) continue;
    EXPECT_EQ(fs::last_write_time(file), time) << file;
  }
}

TEST_F(WholeRlhf, WhatHasChangedUnderneathIsRefused) {
  const auto refused = [&](const std::string& file, const std::string& part) {
    const std::string bytes = read_bytes(path(file));
    write_bytes(path(file), bytes + "\n");
    expect_refused(command(), part);
    write_bytes(path(file), bytes);
  };
  refused("prompts.jsonl", "preferences.prompts 1 has changed");
  refused("helpful.jsonl", "helpful pairs 1 has changed");
  refused("run/V1/preferences/ratings.jsonl", "ratings.jsonl: it has changed since V1/preferences");
  refused("run/V2/rejection/pool.jsonl", "pool.jsonl: it has changed since V2/rejection was made");
  refused("run/V2/reward_safety/final/model.safetensors",
          "V2/reward_safety/final: it has changed since V2/reward_safety was made");
  expect_refused(command({"rejection.rejection.num_samples=2"}), "rejection.num_samples");
  expect_refused(command({"preferences.pairs=4"}), "preferences.pairs");

  // A stage whose directory is taken away is done again, to the same bits.
  const auto before = read_tree(path("run"));
  fs::remove_all(path("run/V3/rejection"));
  run_cria_well(command());
  for (const auto& [file, bytes] : read_tree(path("run"))) {
    if (file.find("tensorboard") != std::string::npos || file.ends_with("metrics.jsonl") ||
        file == "ledger.json") {
      continue;
    }
    ASSERT_TRUE(before.contains(file)) << file;
    EXPECT_TRUE(before.at(file) == bytes) << file;
  }
}

}  // namespace

}  // namespace cria::testing
