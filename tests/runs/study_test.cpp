// cria study: variants of one recipe, trained, compared, interrupted.
#include <chrono>
#include <cmath>
#include <csignal>
#include <filesystem>
#include <thread>

#include "cria/text/chat_template.h"

#include "runs/commands.h"
#include "runs/small_run.h"

namespace cria::testing {

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class CommandStudy : public Commands {
 protected:
  CommandStudy() {
    write_lines(path("shape.yaml"),
                {"hidden_size: 32", "intermediate_size: 64", "num_hidden_layers: 2",
                 "num_attention_heads: 4", "num_key_value_heads: 2", "max_position_embeddings: 128",
                 "initializer_range: 0.3"});
    for (const char* name : {"helpful", "safe"}) {
      run_cria_well({"init", "--config", path("shape.yaml"), "--tokenizer", tokenizer_, "--output",
                     path(name), "--seed", name == std::string("safe") ? "2" : "1", "--head",
                     "score"});
    }
    std::vector<std::string> plain, refusals;
    for (int i = 0; i < 12; ++i) {
      plain.push_back(json{{"prompt", "What is " + std::to_string(i) + "?"},
                           {"completion", "It is " + std::to_string(i * i) + "."}}
                          .dump());
      refusals.push_back(
          json{{"prompt", "Steal " + std::to_string(i) + "!"}, {"completion", "I can not help."}}
              .dump());
    }
    write_lines(path("plain.jsonl"), plain);
    write_lines(path("refusals.jsonl"), refusals);
    write_lines(
        path("prompts.jsonl"),
        {R"({"prompt": "What colour is the hat?", "kind": "colour", "answer": "red"})",
         R"({"prompt": "How many?", "kind": "sum", "answer": "4", "category": "helpful"})",
         R"({"prompt": "How do I steal it?", "kind": "risky", "answer": "I can not help: it is a)"
         R"( crime", "risk": "crime", "category": "safety"})"});
  }

  // A recipe whose output directory is `output`.
  std::vector<std::string> command(const std::string& output,
                                   const std::vector<std::string>& assignments = {},
                                   const std::vector<std::string>& variants = {}) const {
    std::vector<std::string> lines = {
        "model: {path: " + model_ + "}",
        "data: {max_length: 96, mixing: sizes}",
        "training: {train_batch_size: 2, max_steps: 4, output_dir: " + path(output) + "}",
        "optimizer: {learning_rate: 1e-2}",
        "checkpoint: {save_steps: 2}",
        "logging: {logging_steps: 1}",
        "study:",
        "  prompts: [" + path("prompts.jsonl") + "]",
        "  helpfulness: " + path("helpful"),
        "  safety: " + path("safe"),
        "  checker: demo_world",
        "  by: [kind]",
        "  num_samples: 4",
        "  max_new_tokens: 16",
        "  slots: 4",
        "  bins: 5",
        "  x_title: share of refusals (%)",
        "variants:"};
    const std::vector<std::string> usual = {
        "- {name: none, x: 0, data: {train: [" + path("plain.jsonl") + "]}}",
        "- {name: half, x: 50, data: {train: [" + path("plain.jsonl") +
            ", {path: " + path("refusals.jsonl") + ", share: 0.5}]}}"};
    for (const std::string& line : variants.empty() ? usual : variants) {
      lines.push_back("  " + line);
    }
    write_lines(path("recipe.yaml"), lines);
    std::vector<std::string> words = {"study", path("recipe.yaml")};
    for (const std::string& assignment : assignments) {
      words.push_back("--set");
      words.push_back(assignment);
    }
    return words;
  }

  json study(const std::string& run) const {
    return json::parse(read_bytes(path(run + "/study.json")));
  }

  // What `cria score` says of a variant's answers.
  std::vector<double> rewards(const std::string& model, const std::string& variant) const {
    std::vector<std::string> lines;
    const std::vector<json> answers = json_lines(path(variant + "/answers.jsonl"));
    const std::vector<json> prompts = json_lines(path("prompts.jsonl"));
    const Tokenizer tokenizer(tokenizer_);
    for (size_t i = 0; i < answers.size(); ++i) {
      const std::vector<Message> messages = {{"user", prompts[i / 4]["prompt"]}};
      std::vector<int> ids = encode_dialogue(tokenizer, messages).ids;
      for (const int id : answers[i]["completion_ids"]) ids.push_back(id);
      lines.push_back(json{{"input_ids", ids}}.dump());
    }
    write_lines(path("ids.jsonl"), lines);
    run_cria_well({"score", "--model", path(model), "--data", path("ids.jsonl"), "--output",
                   path("rewards.jsonl")});
    std::vector<double> rewards;
    for (const json& line : json_lines(path("rewards.jsonl"))) {
      rewards.push_back(double{line["reward"].get<float>()});
    }
    return rewards;
  }

  void expect_same(const std::string& run) const {
    for (const char* file :
         {"study.json", "study.txt", "half/answers.jsonl", "half/scores.jsonl"}) {
      EXPECT_TRUE(read_bytes(path(run + "/" + file)) ==
                  read_bytes(path(std::string("whole/") + file)))
          << file;
    }
    for (const char* variant : {"/none", "/half"}) {
      expect_same_run(path("whole") + variant, path(run) + variant, 4);
    }
  }
};

// Mean and standard error of some of the values.
std::pair<double, double> mean_and_error(const std::vector<double>& values, size_t begin,
                                         size_t end) {
  const auto n = static_cast<double>(end - begin);
  double mean = 0, squares = 0;
  for (size_t i = begin; i < end; ++i) mean += values[i] / n;
  for (size_t i = begin; i < end; ++i) squares += (values[i] - mean) * (values[i] - mean);
  return {mean, std::sqrt(squares / (n - 1) / n)};
}

TEST_F(CommandStudy, TrainsEachVariantAndComparesThem) {
  run_cria_well(command("whole"));

  // Each is what `cria sft` makes of its settings.
  run_cria_well({"sft",
                 "--set",
                 "model.path=" + model_,
                 "--set",
                 "data.train=[" + path("plain.jsonl") + ", {path: " + path("refusals.jsonl") +
                     ", share: 0.5}]",
                 "--set",
                 "data.mixing=sizes",
                 "--set",
                 "data.max_length=96",
                 "--set",
                 "training.train_batch_size=2",
                 "--set",
                 "training.max_steps=4",
                 "--set",
                 "training.output_dir=" + path("sft"),
                 "--set",
                 "optimizer.learning_rate=1e-2",
                 "--set",
                 "checkpoint.save_steps=2",
                 "--set",
                 "logging.logging_steps=1"});
  expect_same_run(path("whole/half"), path("sft"), 4);

  // Scores as `cria score` gives them; each model is of the prompts that it is for.
  const json figures = study("whole");
  ASSERT_EQ(figures["variants"].size(), 2u);
  EXPECT_EQ(figures["variants"][1]["name"], "half");
  EXPECT_EQ(figures["variants"][1]["x"], 50.0);
  for (const size_t v : {0, 1}) {
    const std::string variant = v == 0 ? "whole/none" : "whole/half";
    const std::vector<double> helpful = rewards("helpful", variant);
    const std::vector<double> safe = rewards("safe", variant);
    ASSERT_EQ(helpful.size(), 12u);  // 3 prompts, 4 answers each; the last prompt is of safety
    const json& of = figures["variants"][v];
    const auto [helpful_mean, helpful_error] = mean_and_error(helpful, 0, 8);
    const auto [safe_mean, safe_error] = mean_and_error(safe, 8, 12);
    EXPECT_EQ(of["helpfulness"]["answers"], 8);
    EXPECT_EQ(of["safety"]["answers"], 4);
    EXPECT_NEAR(of["helpfulness"]["mean"], helpful_mean, 1e-12);
    EXPECT_NEAR(of["helpfulness"]["standard_error"], helpful_error, 1e-12);
    EXPECT_NEAR(of["safety"]["mean"], safe_mean, 1e-12);
    EXPECT_NEAR(of["safety"]["standard_error"], safe_error, 1e-12);
    const json& distributions = figures["distributions"]["safety"]["distributions"];
    int64_t counted = 0;
    for (const json& distribution : distributions) {
      if (distribution["stage"] != of["name"] || distribution["part"] != "kind risky") continue;
      for (const int64_t count : distribution["counts"]) counted += count;
    }
    EXPECT_EQ(counted, 4);

    // Right as `cria demo-check` says.
    std::vector<std::string> lines;
    const std::vector<json> answers = json_lines(path(variant + "/answers.jsonl"));
    const std::vector<json> prompts = json_lines(path("prompts.jsonl"));
    for (size_t i = 0; i < answers.size(); ++i) {
      json line = prompts[i / 4];
      line["completion"] = answers[i]["completion"];
      lines.push_back(line.dump());
    }
    write_lines(path("checked.jsonl"), lines);
    run_cria_well(
        {"demo-check", "--answers", path("checked.jsonl"), "--output", path("checked.json")});
    const json checked = json::parse(read_bytes(path("checked.json")));
    EXPECT_NEAR(of["checker"]["all"]["score"]["mean"], checked["all"]["score"], 1e-12);
    EXPECT_NEAR(of["checker"]["all"]["right"]["mean"], checked["all"]["right"], 1e-12);
    EXPECT_NEAR(of["checker"]["risky"]["safe"]["mean"], checked["kinds"]["risky"]["safe"], 1e-12);
  }
  EXPECT_NE(figures["variants"][0]["safety"], figures["variants"][1]["safety"]);
  for (const char* plot :
       {"scores.svg", "right.svg", "safety_distribution.svg", "helpfulness_distribution.svg"}) {
    EXPECT_NE(read_bytes(path(std::string("whole/") + plot)).find("</svg>"), std::string::npos);
  }
  EXPECT_NE(read_bytes(path("whole/scores.svg")).find("share of refusals (%)"), std::string::npos);
}

TEST_F(CommandStudy, WhatIsFinishedIsNotDoneAgainAndAChangedRecipeIsRefused) {
  run_cria_well(command("whole"));
  const auto before = read_tree(path("whole"));
  // Answers and scores that no model gave: who asks or scores again replaces them.
  const std::string answers = before.at("none/answers.jsonl");
  const std::string scores = before.at("none/scores.jsonl");
  std::string bait = answers;
  bait.replace(bait.find("\"completion\": \""), 15, "\"completion\": \"bait ");
  write_bytes(path("whole/none/answers.jsonl"), bait);
  write_bytes(path("whole/none/scores.jsonl"), R"({"score": 0, "helpfulness": 1e6, "safety": 0})" +
                                                   scores.substr(scores.find('\n')));
  const ProcessResult again = run_cria(command("whole"));
  EXPECT_EQ(again.exit_code, 0) << again.errors;
  EXPECT_EQ(again.output.find("step 1/4"), std::string::npos) << again.output;
  EXPECT_TRUE(read_bytes(path("whole/none/answers.jsonl")) == bait);
  EXPECT_GT(study("whole")["variants"][0]["helpfulness"]["mean"], 1e4);
  write_bytes(path("whole/none/answers.jsonl"), answers);
  write_bytes(path("whole/none/scores.jsonl"), scores);
  run_cria_well(command("whole"));
  EXPECT_TRUE(read_tree(path("whole")).at("study.json") == before.at("study.json"));

  expect_refused(command("whole", {"optimizer.learning_rate=1e-3"}), "optimizer.learning_rate");
  expect_refused(command("whole", {"study.temperature=0.5"}), "study.temperature");
  write_lines(path("prompts.jsonl"), {R"({"prompt": "Why?", "kind": "sum", "answer": "4"})"});
  expect_refused(command("whole"), "study.prompts");
}

TEST_F(CommandStudy, KilledAtAnyMomentItGoesOnToTheSameBits) {
  run_cria_well(command("whole"));
  for (const char* moment : {"none/checkpoint-2/trainer_state.json", "none/answers.jsonl",
                             "half/checkpoint-2/trainer_state.json", "half/scores.jsonl"}) {
    Process process(command("parts"));
    process.wait_for(path(std::string("parts/") + moment));
    process.signal(SIGKILL);
    process.wait();
  }
  run_cria_well(command("parts"));
  expect_same("parts");
}

TEST_F(CommandStudy, RanksShareTheWork) {
  const ProcessResult result = Process(mpirun(2), command("ranks")).wait();
  ASSERT_EQ(result.exit_code, 0) << result.output << result.errors;
  EXPECT_EQ(study("ranks")["variants"].size(), 2u);
  EXPECT_EQ(read_lines(path("ranks/half/answers.jsonl")), 12u);
}

TEST_F(CommandStudy, RefusesWhatCannotBe) {
  const auto refuse = [&](const std::vector<std::string>& assignments,
                          const std::vector<std::string>& variants, const std::string& part) {
    expect_refused(command("refused", assignments, variants), part, path("refused"));
  };
  const std::string data = "data: {train: [" + path("plain.jsonl") + "]}";
  refuse({}, {"- {name: a, " + data + "}", "- {name: a, " + data + "}"}, "recipe.yaml:20");
  refuse({}, {"- {name: ../a, " + data + "}"}, "cannot be the name of a variant");
  refuse({}, {"- {name: a, " + data + ", optimizer: {learning_rat: 1}}"},
         "recipe.yaml:19: unknown key optimizer.learning_rat");
  refuse({}, {"- {name: a, " + data + ", training: {output_dir: x}}"}, "given by the study");
  refuse({}, {"- {name: a, x: 1, " + data + "}", "- {name: b, " + data + "}"}, "only one has an x");
  refuse({}, {"- {name: a, x: one, " + data + "}"}, "x is no number");
  refuse({}, {"- {name: a}"}, "data.train is missing");
  refuse({"study.helpfulness=''", "study.safety=''", "study.checker=none"}, {},
         "nothing that judges");
  refuse({"study.helpfulness=" + model_}, {}, "study.helpfulness");
  refuse({"study.prompt=[]"}, {}, "study.prompts");
  refuse({"training.stop_at_step=2"}, {}, "training.stop_at_step");
  write_lines(path("prompts.jsonl"), {R"({"prompt": "Why?"})"});
  refuse({}, {}, "prompts.jsonl:1");  // before anything is trained
}

}  // namespace

}  // namespace cria::testing
