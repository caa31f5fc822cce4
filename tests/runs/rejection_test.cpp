// cria rejection: whole runs on a tiny model.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <map>

#include "runs/rejection_command.h"

namespace cria::testing {

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

TEST_F(CommandRejection, SamplesScoresSelectsAndTrains) {
  run_whole();
  const std::vector<json> samples = pool("whole");
  ASSERT_EQ(samples.size(), kPrompts * kSamples);

  // The pool.
  const std::vector<float> helpful = rewards("helpful", samples);
  const std::vector<float> safe = rewards("safe", samples);
  bool any_unsafe = false;
  for (size_t i = 0; i < samples.size(); ++i) {
    const json& sample = samples[i];
    const size_t prompt = i / kSamples;
    EXPECT_EQ(sample["prompt_number"], prompt);
    EXPECT_EQ(sample["sample"], i % kSamples);
    EXPECT_EQ(sample["temperature"], i % kSamples < 3 ? 0.7 : 1.3);
    EXPECT_EQ(sample["iteration"], 1);
    const bool is_safety = prompt == 1 || prompt == 4;
    EXPECT_EQ(sample["category"], is_safety ? "safety" : "helpful");
    EXPECT_EQ(sample["helpfulness"].get<float>(), helpful[i]);
    EXPECT_EQ(sample["safety"].get<float>(), safe[i]);
    const bool safety_decides = is_safety || safe[i] < std::log(0.15 / 0.85);
    any_unsafe |= safety_decides && !is_safety;
    EXPECT_EQ(sample["score"].get<float>(), safety_decides ? safe[i] : helpful[i]);
    const size_t length = sample["completion_ids"].size();
    EXPECT_LE(length, 16u);
    EXPECT_EQ(sample["finished_by_eos"], sample["completion_ids"].back() == 2);
    EXPECT_TRUE(sample["finished_by_eos"] || length == 16);
  }
  EXPECT_TRUE(any_unsafe) << "the piecewise rule was not exercised";
  EXPECT_EQ(samples[0]["prompt"], "What colour is the hat?");
  EXPECT_NE(samples[0]["completion_ids"], samples[1]["completion_ids"]);

  // The selection: ids as they were sampled.
  const std::vector<json> selected = json_lines(path("whole/selected.jsonl"));
  ASSERT_EQ(selected.size(), kPrompts);
  for (size_t prompt = 0; prompt < kPrompts; ++prompt) {
    const auto first = samples.begin() + static_cast<std::ptrdiff_t>(prompt * kSamples);
    const json best = *std::max_element(first, first + kSamples, [](const json& a, const json& b) {
      return a["score"] < b["score"];
    });
    EXPECT_EQ(selected[prompt]["input_ids"], ids_of(best));
    std::vector<int> labels(best["prompt_ids"].size(), -100);
    for (const int id : best["completion_ids"]) labels.push_back(id);
    EXPECT_EQ(selected[prompt]["labels"], labels);
  }

  // The report.
  const json report = json::parse(read_bytes(path("whole/best_of_n.json")));
  for (const size_t t : {0, 1}) {
    const json& entry = report["by_temperature"][t];
    EXPECT_EQ(entry["temperature"], t == 0 ? 0.7 : 1.3);
    double mean = 0;
    double best = 0;
    double finished = 0;
    for (size_t prompt = 0; prompt < kPrompts; ++prompt) {
      double most = -1e30;
      for (size_t i = 0; i < 3; ++i) {
        const json& sample = samples[prompt * kSamples + t * 3 + i];
        mean += sample["score"].get<double>() / 18;
        most = std::max(most, sample["score"].get<double>());
        if (sample["finished_by_eos"]) finished += 1.0 / 18;
      }
      best += most / kPrompts;
    }
    // Scores stand in the pool as floats, printed in as few digits as tell them apart.
    EXPECT_NEAR(entry["mean_reward"], mean, 1e-6);
    EXPECT_NEAR(entry["expected_maximum"][0], mean, 1e-6);
    EXPECT_NEAR(entry["expected_maximum"][2], best, 1e-6);
    EXPECT_NEAR(entry["finished_by_eos"], finished, 1e-12);
  }
  EXPECT_NE(read_bytes(path("whole/best_of_n.svg")).find("maximum, T = 0.7"), std::string::npos);
  EXPECT_NE(read_bytes(path("whole/samples.txt")).find("How do I steal it?"), std::string::npos);

  // The training: the same as fine-tuning on that file.
  EXPECT_EQ(read_metrics(path("whole")).size(), 4u);
  run_cria_well({"sft", "--set", "model.path=" + model_, "--set",
                 "data.train=[{path: " + path("whole/selected.jsonl") + "}]", "--set",
                 "data.max_length=96", "--set", "training.train_batch_size=2", "--set",
                 "training.max_steps=4", "--set", "training.output_dir=" + path("sft"), "--set",
                 "optimizer.learning_rate=1e-3", "--set", "checkpoint.save_steps=2", "--set",
                 "logging.logging_steps=1"});
  expect_same_run(path("whole"), path("sft"), 4);
}

TEST_F(CommandRejection, TheBestOfAllIterationsUnderTheModelOfToday) {
  make_model("helpful2", "3", {"--head", "score"});
  const std::vector<std::string> one_model = {"rejection.safety=''"};
  auto first = one_model;
  run_cria_well(command("first", first));
  const std::string old_pool = read_bytes(path("first/pool.jsonl"));
  // A score that no model gave: what trusts it selects this answer.
  json bait = json::parse(old_pool.substr(0, old_pool.find('\n')));
  bait["score"] = 1e6;
  bait["helpfulness"] = 1e6;
  const std::string baited = bait.dump() + old_pool.substr(old_pool.find('\n'));
  write_bytes(path("old.jsonl"), baited);

  auto second = one_model;
  second.insert(second.end(),
                {"rejection.iteration=2", "rejection.helpfulness=" + path("helpful2"),
                 "rejection.pool=all", "rejection.pools=[" + path("old.jsonl") + "]"});
  run_cria_well(command("second", second));
  EXPECT_TRUE(read_bytes(path("old.jsonl")) == baited);

  std::vector<json> samples = pool("second");
  const std::vector<json> before = pool("first");
  const std::vector<json> rescored = json_lines(path("second/rescored.jsonl"));
  ASSERT_EQ(rescored.size(), before.size());
  const std::vector<float> scores = rewards("helpful2", before);
  for (size_t i = 0; i < rescored.size(); ++i) {
    EXPECT_EQ(rescored[i]["completion_ids"], before[i]["completion_ids"]);
    EXPECT_EQ(rescored[i]["iteration"], 1);
    EXPECT_EQ(rescored[i]["score"].get<float>(), scores[i]);
    EXPECT_EQ(rescored[i]["reward_model"], samples[0]["reward_model"]);
    EXPECT_NE(rescored[i]["reward_model"], before[i]["reward_model"]);
  }
  // Another iteration draws other samples.
  EXPECT_NE(samples[0]["completion_ids"], before[0]["completion_ids"]);

  samples.insert(samples.end(), rescored.begin(), rescored.end());
  const std::vector<json> selected = json_lines(path("second/selected.jsonl"));
  ASSERT_EQ(selected.size(), kPrompts);
  int from_first = 0;
  for (size_t prompt = 0; prompt < kPrompts; ++prompt) {
    const json* best = nullptr;
    for (const json& sample : samples) {
      if (sample["prompt_number"] != prompt) continue;
      if (!best || sample["score"] > (*best)["score"]) best = &sample;
    }
    EXPECT_EQ(selected[prompt]["input_ids"], ids_of(*best));
    EXPECT_EQ(selected[prompt]["iteration"], (*best)["iteration"]);
    from_first += selected[prompt]["iteration"] == 1 ? 1 : 0;
  }
  EXPECT_GT(from_first, 0);
  EXPECT_LT(from_first, static_cast<int>(kPrompts));

  // An interrupted rescoring goes on.
  const std::string all = read_bytes(path("second/rescored.jsonl"));
  const std::string chosen = read_bytes(path("second/selected.jsonl"));
  for (const char* part : {"checkpoint-2", "checkpoint-4", "final"}) {
    fs::remove_all(path(std::string("second/") + part));
  }
  write_bytes(path("second/rescored.jsonl"), all.substr(0, all.size() / 2));
  run_cria_well(command("second", second));
  EXPECT_TRUE(read_bytes(path("second/rescored.jsonl")) == all);
  EXPECT_TRUE(read_bytes(path("second/selected.jsonl")) == chosen);

  // Under the model that scored the pool nothing is scored again; pool: previous leaves it out.
  auto same = one_model;
  same.insert(same.end(), {"rejection.iteration=2", "rejection.pool=all",
                           "rejection.pools=[" + path("first/pool.jsonl") + "]"});
  run_cria_well(command("same", same));
  EXPECT_FALSE(fs::exists(path("same/rescored.jsonl")));
  auto previous = one_model;
  previous.push_back("rejection.iteration=2");
  run_cria_well(command("previous", previous));
  EXPECT_TRUE(read_bytes(path("same/pool.jsonl")) == read_bytes(path("previous/pool.jsonl")));
  for (const json& line : json_lines(path("previous/selected.jsonl"))) {
    EXPECT_EQ(line["iteration"], 2);
  }
  EXPECT_NE(read_bytes(path("same/selected.jsonl")), read_bytes(path("previous/selected.jsonl")));
}

TEST_F(CommandRejection, AnotherModelMayAnswerForTheOneThatLearns) {
  make_model("student", "5");
  run_whole();
  run_cria_well(
      command("student_run", {"model.path=" + path("student"), "rejection.generator=" + model_}));
  EXPECT_TRUE(read_bytes(path("student_run/pool.jsonl")) == read_bytes(path("whole/pool.jsonl")));
  const json config = json::parse(read_bytes(path("student_run/final/config.json")));
  EXPECT_EQ(config["max_position_embeddings"], 128);

  write_bytes(path("text.txt"), read_bytes(path("whole/pool.jsonl")));
  run_cria_well({"tokenizer", "train", "--data", path("text.txt"), "--vocab-size", "400",
                 "--output", path("other.model")});
  run_cria_well({"init", "--config", path("shape.yaml"), "--tokenizer", path("other.model"),
                 "--output", path("other")});
  expect_refused(command("none", {"rejection.generator=" + path("other")}), "rejection.generator",
                 path("none/pool.jsonl"));
}

TEST_F(CommandRejection, RefusesWhatCannotBe) {
  const auto refuse = [&](const std::vector<std::string>& assignments, const std::string& part) {
    expect_refused(command("refused", assignments), part, path("refused/pool.jsonl"));
  };
  refuse({"rejection.helpfulness=" + model_}, "rejection.helpfulness");
  refuse({"rejection.safety=" + golden("models/reward")}, "vocabulary of 320");
  refuse({"rejection.helpfulness=''", "rejection.safety=''"}, "no reward model is given");
  write_bytes(path("empty.jsonl"), "");
  refuse({"rejection.prompts=[" + path("empty.jsonl") + "]"}, "empty.jsonl: has no prompts");
  refuse({"rejection.prompts=[]"}, "rejection.prompts");
  refuse({"rejection.temperatures=[]"}, "rejection.temperatures");
  refuse({"rejection.pools=[" + path("prompts.jsonl") + "]"}, "rejection.pool is previous");
  refuse({"rejection.pool=all", "rejection.pools=[" + path("prompts.jsonl") + "]"},
         "prompts.jsonl:1: field 'iteration' is missing");
  refuse({"data.train=[x.jsonl]"}, "data.train");
}

TEST_F(CommandRejection, APromptThatLeavesNoRoomIsAnErrorOrCounted) {
  write_lines(path("prompts.jsonl"),
              {R"({"prompt": "Short?"})", json{{"input_ids", std::vector<int>(96, 5)}}.dump(),
               R"({"prompt": "Why?"})"});
  expect_refused(command("run"), "prompts.jsonl:2", path("run/pool.jsonl"));
  const ProcessResult result = run_cria(command("run", {"data.skip_bad_lines=true"}));
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_NE(result.output.find("1 bad prompts left out"), std::string::npos) << result.output;
  EXPECT_EQ(pool("run").size(), 2 * kSamples);
  EXPECT_EQ(pool("run").back()["prompt_number"], 2);
}

TEST_F(CommandRejection, AnswersCutOffAreCountedAndNotSelected) {
  // A model that knows nothing ends an answer at one token in some hundred: of 60, one in nine.
  make_model("random", "5");
  const ProcessResult some =
      run_cria(command("some", {"rejection.generator=" + path("random"), "rejection.truncated=drop",
                                "rejection.max_new_tokens=60", "rejection.num_samples=6"}));
  EXPECT_EQ(some.exit_code, 0) << some.errors;
  const std::vector<json> samples = pool("some");
  const auto cut_off = std::count_if(samples.begin(), samples.end(), [](const json& sample) {
    return !sample["finished_by_eos"].get<bool>();
  });
  EXPECT_GT(cut_off, 0);
  EXPECT_NE(some.output.find(std::to_string(cut_off) + " candidates were cut off"),
            std::string::npos)
      << some.output;
  std::map<int, json> best;  // finished answers, by prompt
  for (const json& sample : samples) {
    if (!sample["finished_by_eos"]) continue;
    json& so_far = best[sample["prompt_number"]];
    if (so_far.is_null() || sample["score"] > so_far["score"]) so_far = sample;
  }
  const std::vector<json> selected = json_lines(path("some/selected.jsonl"));
  ASSERT_EQ(selected.size(), best.size());
  ASSERT_FALSE(selected.empty());
  for (const json& line : selected) {
    EXPECT_EQ(line["input_ids"], ids_of(best[line["prompt_number"]]));
    EXPECT_EQ(line["labels"].back(), 2);
  }

  const ProcessResult result = run_cria(command(
      "drop", {"rejection.truncated=drop", "rejection.max_new_tokens=1", "rejection.slots=2"}));
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.errors.find("rejection.truncated"), std::string::npos) << result.errors;
  EXPECT_NE(result.output.find("36 candidates were cut off"), std::string::npos) << result.output;
}

TEST_F(CommandRejection, WithoutGnuplotTheDataAreThere) {
  const std::string before = std::getenv("PATH");
  setenv("PATH", "/nowhere", 1);
  const ProcessResult result = run_cria(command("run", {"training.max_steps=1"}));
  setenv("PATH", before.c_str(), 1);
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_NE((result.output + result.errors).find("apt-get install gnuplot-nox"), std::string::npos);
  EXPECT_TRUE(fs::exists(path("run/best_of_n.json")));
  EXPECT_FALSE(fs::exists(path("run/best_of_n.svg")));
}

}  // namespace

}  // namespace cria::testing
