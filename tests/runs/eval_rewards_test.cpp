// cria eval rewards, cria eval preferences.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "runs/evaluation_commands.h"

namespace cria::testing {

namespace {

using nlohmann::json;

double mean_of(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

const json& distribution(const json& result, const char* score, const std::string& stage,
                         const std::string& part) {
  static const json none;
  for (const json& candidate : result["scores"][score]["distributions"]) {
    if (candidate["stage"] == stage && candidate["part"] == part) return candidate;
  }
  ADD_FAILURE() << score << ", " << stage << ", " << part << " is not in " << result;
  return none;
}

// Against the scores of `cria score`.
TEST_F(EvaluationCommands, RewardsByStage) {
  std::vector<std::string> first, second;
  for (int i = 0; i < 8; ++i) {
    const std::string prompt = "What is " + std::to_string(i) + "?";
    first.push_back(json{{"prompt", prompt},
                         {"completion", "It is " + std::to_string(i * i)},
                         {"category", i < 3 ? "safety" : "helpful"}}
                        .dump());
    second.push_back(json{{"prompt", prompt}, {"completion", "red"}}.dump());
  }
  write_lines(path("sft.jsonl"), first);
  write_lines(path("later.jsonl"), second);
  const json result =
      figures({"rewards", "--answers", path("sft.jsonl"), "--answers", "ppo=" + path("later.jsonl"),
               "--helpfulness", path("helpful"), "--safety", path("safe"), "--bins", "5", "--plot",
               path("plot.svg"), "--score", "safety"});
  const std::vector<double> helpful = scores("helpful", first), safe = scores("safe", first);
  // Sums of eight floats of order 1 in another order.
  EXPECT_NEAR(distribution(result, "helpfulness", "sft", "all")["mean"].get<double>(),
              mean_of(helpful), 1e-14);
  EXPECT_NEAR(distribution(result, "safety", "sft", "category safety")["mean"].get<double>(),
              mean_of({safe.begin(), safe.begin() + 3}), 1e-14);
  EXPECT_NEAR(distribution(result, "safety", "ppo", "all")["mean"].get<double>(),
              mean_of(scores("safe", second)), 1e-14);
  std::vector<double> combined = helpful;
  for (size_t i = 0; i < combined.size(); ++i) {
    if (i < 3 || safe[i] < std::log(0.15 / 0.85)) combined[i] = safe[i];
  }
  EXPECT_NEAR(distribution(result, "combined", "sft", "all")["mean"].get<double>(),
              mean_of(combined), 1e-14);
  EXPECT_EQ(distribution(result, "combined", "ppo", "all")["counts"].size(), 5u);
  const std::string svg = read_bytes(path("plot.svg"));
  for (const char* text : {"sft", "ppo", "safety (raw score)"}) {
    EXPECT_NE(svg.find(text), std::string::npos) << text;
  }

  const auto refuse = [&](std::vector<std::string> words, const std::string& part) {
    words.insert(words.begin(), {"eval", "rewards", "--output", path("none.json")});
    expect_refused(words, part, path("none.json"));
  };
  refuse({"--answers", path("sft.jsonl")}, "no reward model is given");
  refuse({"--helpfulness", path("helpful")}, "--answers is required");
  refuse({"--answers", path("sft.jsonl"), "--helpfulness", path("helpful"), "--score", "combined"},
         "'combined' is no score of these models");
  refuse({"--answers", "x=" + path("no.jsonl"), "--helpfulness", path("helpful")}, "no.jsonl");
}

// An answer that was cut off is scored without an eos.
TEST_F(EvaluationCommands, RewardsOfWhatWasCutOff) {
  const auto reward = [&](bool finished) {
    write_lines(
        path("a.jsonl"),
        {json{{"prompt", "p"}, {"completion", "red"}, {"finished_by_eos", finished}}.dump()});
    const json result =
        figures({"rewards", "--answers", path("a.jsonl"), "--helpfulness", path("helpful")});
    return distribution(result, "helpfulness", "a", "all")["mean"].get<double>();
  };
  const std::string whole = json{{"prompt", "p"}, {"completion", "red"}}.dump();
  EXPECT_EQ(reward(true), scores("helpful", {whole})[0]);
  write_lines(path("data.jsonl"), {whole});
  std::vector<int> ids = tokenize_data()[0]["input_ids"];
  ids.pop_back();
  EXPECT_EQ(reward(false), scores("helpful", {json{{"input_ids", ids}}.dump()})[0]);
}

TEST_F(EvaluationCommands, PreferencesAreJudgedWithoutTraining) {
  std::vector<std::string> pairs, chosen, rejected;
  for (int i = 0; i < 20; ++i) {
    const std::string prompt = "What is " + std::to_string(i) + "?";
    const std::string better = "It is " + std::to_string(i * i), worse = "no " + std::to_string(i);
    json pair = {{"prompt", prompt}, {"chosen", better}, {"rejected", worse}};
    if (i < 5) pair["rating"] = "better";
    if (i < 2) pair["category"] = "safety";
    if (i == 7) pair["source"] = "people";
    pairs.push_back(pair.dump());
    chosen.push_back(json{{"prompt", prompt}, {"completion", better}}.dump());
    rejected.push_back(json{{"prompt", prompt}, {"completion", worse}}.dump());
  }
  const std::vector<std::string> few = {pairs.begin(), pairs.begin() + 10};
  write_lines(path("few.jsonl"), few);
  write_lines(path("more.jsonl"), {pairs.begin() + 10, pairs.end()});
  const json result =
      figures({"preferences", "--model", path("helpful"), "--data", path("few.jsonl"), "--data",
               path("more.jsonl"), "--plot", path("plot.svg")});
  const std::vector<double> up = scores("helpful", chosen), down = scores("helpful", rejected);
  const auto accuracy = [&](size_t from, size_t to) {
    double right = 0;
    for (size_t i = from; i < to; ++i) right += up[i] > down[i];
    return right / static_cast<double>(to - from);
  };
  const json& parts = result["parts"];
  EXPECT_EQ(parts["all"]["pairs"], 20);
  EXPECT_NEAR(parts["all"]["accuracy"].get<double>(), accuracy(0, 20), 1e-15);
  EXPECT_NEAR(parts["better"]["accuracy"].get<double>(), accuracy(0, 5), 1e-15);
  EXPECT_NEAR(parts["safety"]["accuracy"].get<double>(), accuracy(0, 2), 1e-15);
  EXPECT_EQ(parts["source people"]["pairs"], 1);
  EXPECT_EQ(parts["source " + path("few.jsonl")]["pairs"], 9);
  EXPECT_EQ(parts["source " + path("more.jsonl")]["pairs"], 10);
  double error = 0;
  std::vector<double> confidences(10), rights(10);
  for (size_t i = 0; i < 20; ++i) {
    const double confidence = 1 / (1 + std::exp(-std::abs(up[i] - down[i])));
    const size_t bin = std::min<size_t>(9, static_cast<size_t>((confidence - 0.5) / 0.05));
    confidences[bin] += confidence;
    rights[bin] += up[i] > down[i];
  }
  for (size_t b = 0; b < 10; ++b) error += std::abs(confidences[b] - rights[b]) / 20;
  EXPECT_NEAR(parts["all"]["calibration_error"].get<double>(), error, 1e-12);
  EXPECT_NE(read_bytes(path("plot.svg")).find("this model"), std::string::npos);

  const std::vector<std::string> command = {"eval", "preferences", "--output", path("none.json")};
  const auto refuse = [&](std::vector<std::string> words, const std::string& part) {
    words.insert(words.begin(), command.begin(), command.end());
    expect_refused(words, part, path("none.json"));
  };
  refuse({"--model", model_, "--data", path("few.jsonl")}, "has no score head");
  write_lines(path("bad.jsonl"), {pairs[0], R"({"prompt": "p", "chosen": "x"})"});
  refuse({"--model", path("helpful"), "--data", path("bad.jsonl")}, "bad.jsonl:2");
}

}  // namespace

}  // namespace cria::testing
