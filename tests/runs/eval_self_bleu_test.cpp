// cria eval self-bleu.
#include "runs/evaluation_commands.h"
#include "support/places.h"

namespace cria::testing {

namespace {

using nlohmann::json;

class EvalSelfBleu : public EvaluationCommands {
 protected:
  EvalSelfBleu() {
    write_lines(path("creative.jsonl"), {R"({"prompt": "Tell a tale.", "kind": "tale"})",
                                         R"({"prompt": "Sing.", "kind": "song"})"});
    write_lines(path("factual.jsonl"), {R"({"prompt": "What is two and two?", "kind": "sum"})"});
  }
  const std::vector<std::string> prompts_ = {"--prompts", path("creative.jsonl"), "--prompts",
                                             path("factual.jsonl")};
};

std::vector<std::string> joined(std::vector<std::string> words,
                                const std::vector<std::string>& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

double point(const json& result, const std::string& group, double temperature) {
  for (const json& point : result["points"]) {
    if (point["group"] == group && point["temperature"] == temperature) return point["self_bleu"];
  }
  ADD_FAILURE() << group << " at " << temperature << " is not in " << result;
  return -1;
}

// By the model itself, and from what `generate` wrote with the same settings.
TEST_F(EvalSelfBleu, OfAModelIsThatOfItsAnswers) {
  const std::vector<std::string> sampling = {"--num-samples", "4", "--max-new-tokens", "24",
                                             "--seed",        "3", "--slots",          "4"};
  const json sampled =
      figures(joined(joined({"self-bleu", "--model", model_, "--temperatures", "0,0.7,1.5",
                             "--plot", path("plot.svg"), "--tokens", "ids"},
                            prompts_),
                     sampling));
  EXPECT_EQ(sampled["tokens"], "ids");
  ASSERT_EQ(sampled["points"].size(), 6u);
  EXPECT_EQ(point(sampled, "creative", 0), 1.0) << "greedy answers are all the same";
  EXPECT_LT(point(sampled, "creative", 1.5), point(sampled, "creative", 0.7));
  EXPECT_LT(point(sampled, "factual", 0.7), 1.0);
  EXPECT_NE(read_bytes(path("plot.svg")).find("factual"), std::string::npos);

  // The same prompts in one file, so that they have the same numbers.
  write_lines(path("all.jsonl"),
              joined(lines_of(path("creative.jsonl")), lines_of(path("factual.jsonl"))));
  std::vector<std::string> from_files = {"self-bleu", "--temperatures", "0.7,1.5", "--tokens",
                                         "ids"};
  for (const char* temperature : {"0.7", "1.5"}) {
    const std::string file = path(std::string("answers") + temperature + ".jsonl");
    run_cria_well(joined({"generate", "--model", model_, "--chat", "--prompts", path("all.jsonl"),
                          "--temperature", temperature, "--output", file},
                         sampling));
    from_files.insert(from_files.end(), {"--answers", file});
  }
  const json read = figures(joined(from_files, prompts_));
  ASSERT_EQ(read["points"].size(), 4u);
  for (const char* group : {"creative", "factual"}) {
    for (const double temperature : {0.7, 1.5}) {
      EXPECT_EQ(point(read, group, temperature), point(sampled, group, temperature));
    }
  }
  const json by_kind = figures(joined(joined(from_files, prompts_), {"--group-by", "kind"}));
  EXPECT_EQ(by_kind["points"].size(), 6u);
  EXPECT_EQ(point(by_kind, "sum", 0.7), point(read, "factual", 0.7));
  EXPECT_EQ(point(by_kind, "tale", 0.7) + point(by_kind, "song", 0.7),
            2 * point(read, "creative", 0.7));
  EXPECT_EQ(figures(from_files)["points"].size(), 2u) << "one group, all";
}

// The temperature stands in the lines of a pool. Golden figures: those of words.
TEST_F(EvalSelfBleu, OfWords) {
  const json golden = json::parse(read_bytes(source_path("tests/golden/self_bleu.json")))["words"];
  std::vector<std::string> lines;
  for (const char* set : {"short", "two"}) {
    for (const std::string text : golden[set]["samples"]) {
      lines.push_back(json{{"prompt", set}, {"completion", text}, {"temperature", 0.6}}.dump());
    }
  }
  write_lines(path("pool.jsonl"), lines);
  double expected = 0;
  for (const char* set : {"short", "two"}) {
    const std::vector<double> scores = golden[set]["bleu"];
    for (const double score : scores) expected += score / static_cast<double>(scores.size()) / 2;
  }
  const json result = figures({"self-bleu", "--answers", path("pool.jsonl")});
  ASSERT_EQ(result["points"].size(), 1u);
  EXPECT_NEAR(point(result, "all", 0.6), expected, 1e-14);
}

TEST_F(EvalSelfBleu, RefusesWhatItCannotCompare) {
  const auto refuse = [&](std::vector<std::string> words, const std::string& part) {
    expect_refused(joined(joined({"eval", "self-bleu", "--output", path("none.json")}, words), {}),
                   part, path("none.json"));
  };
  refuse({}, "give a model");
  refuse({"--model", model_, "--answers", path("x")}, "give a model");
  refuse({"--model", model_, "--temperatures", "1"}, "--prompts: no file is named");
  refuse(joined({"--model", model_}, prompts_), "--temperatures: none is given");
  refuse(joined({"--model", model_, "--temperatures", "-1"}, prompts_), "temperature");
  refuse(joined({"--model", model_, "--temperatures", "1", "--num-samples", "1"}, prompts_),
         "--num-samples: one answer");
  refuse({"--answers", path("x.jsonl"), "--temperatures", "1,2"}, "2 for 1 files");
  refuse({"--answers", path("x.jsonl"), "--tokens", "letters"}, "--tokens");
  write_lines(path("answers.jsonl"), {R"({"prompt": "p", "completion": "x"})"});
  refuse({"--answers", path("answers.jsonl")}, "answers.jsonl:1: has no temperature");
}

}  // namespace

}  // namespace cria::testing
