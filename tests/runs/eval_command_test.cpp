// cria eval.
#include <algorithm>
#include <cmath>

#include "runs/commands.h"

namespace cria::testing {

namespace {

using nlohmann::json;

TEST_F(Commands, EvalLossIsTheMeanOverAnswerTokens) {
  const std::vector<std::string> data = {R"({"prompt": "a b", "completion": "c d e f"})",
                                         R"({"prompt": "colour of the hat", "completion": "red"})"};
  const std::vector<std::string> scores = score("gqa_untied", data);
  const std::vector<json> examples = tokenize_data();
  double loss = 0;
  int tokens = 0;
  for (size_t i = 0; i < examples.size(); ++i) {
    const std::vector<float> logprobs = json::parse(scores[i])["logprobs"];
    for (size_t t = 1; t < examples[i]["labels"].size(); ++t) {
      if (examples[i]["labels"][t] == -100) continue;
      loss -= static_cast<double>(logprobs[t - 1]);
      ++tokens;
    }
  }
  loss /= tokens;
  run_cria_well(
      {"eval", "--model", model_, "--data", path("data.jsonl"), "--output", path("eval.json")});
  const json result = json::parse(read_bytes(path("eval.json")))[0];
  EXPECT_EQ(result["tokens"], tokens);
  EXPECT_NEAR(result["loss"].get<double>(), loss, 1e-9 * loss);
  EXPECT_NEAR(result["perplexity"].get<double>(), std::exp(loss), 1e-6 * std::exp(loss));
}

TEST_F(Commands, EvalOfTextsCountsEveryToken) {
  write_lines(path("texts.jsonl"), {R"({"text": "one two three"})", R"({"text": "four"})"});
  run_cria_well({"tokenize", "--tokenizer", tokenizer_, "--data", path("texts.jsonl"),
                 "--max-length", "512", "--output", path("rows.jsonl")});
  const std::vector<json> rows = json_lines(path("rows.jsonl"));
  ASSERT_EQ(rows.size(), 1u) << "documents are joined";
  run_cria_well(
      {"eval", "--model", model_, "--data", path("texts.jsonl"), "--output", path("eval.json")});
  const json result = json::parse(read_bytes(path("eval.json")))[0];
  EXPECT_EQ(result["format"], "pretrain");
  EXPECT_EQ(result["tokens"], rows[0]["input_ids"].size() - 1);
}

// The right answers are those that score gives the highest likelihood, so accuracy is 1 by one
// measure; where a long choice wins per token only, the two measures differ.
TEST_F(Commands, EvalChoosesTheLikeliest) {
  const std::vector<std::string> choices = {"red", "a blue one with dots and stripes", "7"};
  std::vector<std::string> data;
  for (const std::string& choice : choices) {
    data.push_back(json{{"prompt", "What colour?"}, {"completion", choice}}.dump());
  }
  const std::vector<std::string> scores = score("gqa_untied", data);
  const std::vector<json> examples = tokenize_data();
  std::vector<double> sums, means;
  for (size_t i = 0; i < choices.size(); ++i) {
    const std::vector<float> logprobs = json::parse(scores[i])["logprobs"];
    double sum = 0;
    int tokens = 0;
    for (size_t t = 1; t < examples[i]["labels"].size(); ++t) {
      if (examples[i]["labels"][t] == -100) continue;
      sum += static_cast<double>(logprobs[t - 1]);
      ++tokens;
    }
    sums.push_back(sum);
    means.push_back(sum / tokens);
  }
  const auto best = std::max_element(sums.begin(), sums.end()) - sums.begin();
  const auto best_mean = std::max_element(means.begin(), means.end()) - means.begin();
  std::vector<std::string> questions;
  for (size_t answer = 0; answer < choices.size(); ++answer) {
    questions.push_back(
        json{{"question", "What colour?"}, {"choices", choices}, {"answer", answer}}.dump());
  }
  questions.push_back(questions[static_cast<size_t>(best)]);
  write_lines(path("questions.jsonl"), questions);
  run_cria_well({"eval", "--model", model_, "--data", path("questions.jsonl"), "--output",
                 path("eval.json")});
  const json result = json::parse(read_bytes(path("eval.json")))[0];
  EXPECT_EQ(result["questions"], 4);
  EXPECT_EQ(result["accuracy"], 0.5);
  EXPECT_EQ(result["normalized_accuracy"], best == best_mean ? 0.5 : 0.25);
  EXPECT_NEAR(result["chance"].get<double>(), 1.0 / 3.0, 1e-12);
}

TEST_F(Commands, EvalRefusesBadQuestions) {
  const auto refuse = [&](const std::string& line, const std::string& part) {
    write_lines(path("bad.jsonl"),
                {R"({"question": "a", "choices": ["b", "c"], "answer": 0})", line});
    expect_refused(
        {"eval", "--model", model_, "--data", path("bad.jsonl"), "--output", path("eval.json")},
        part, path("eval.json"));
  };
  refuse(R"({"question": "a", "choices": ["b"], "answer": 0})", "bad.jsonl:2");
  refuse(R"({"question": "a", "choices": ["b", 3], "answer": 0})", "choices");
  refuse(R"({"question": "a", "choices": ["b", "c"], "answer": 2})", "0 to 1");
  refuse(R"({"question": "a", "choices": ["b", "c"], "answer": -1})", "0 to 1");
  refuse(R"({"question": "a", "choices": ["b", "c"]})", "'answer' is missing");
  refuse(R"({"choices": ["b", "c"], "answer": 0})", "'question' is missing");
  refuse(R"({"question": 4, "choices": ["b", "c"], "answer": 0})", "must be a string");
  refuse("[1]", "bad.jsonl:2");
  write_lines(path("text.jsonl"), {R"({"text": "a"})"});
  expect_refused({"eval", "--model", golden("models/reward"), "--data", path("text.jsonl")},
                 "reward model");
}

// The subcommands measure what `eval` by itself does, and refuse the other kind of file.
TEST_F(Commands, EvalHasACommandForEachKindOfFile) {
  write_lines(path("texts.jsonl"), {R"({"text": "one two three"})"});
  write_lines(path("questions.jsonl"),
              {R"({"question": "a", "choices": ["b", "c"], "answer": 0})"});
  const auto eval = [&](std::vector<std::string> words, const std::string& data) {
    words.insert(words.begin(), "eval");
    words.insert(words.end(), {"--model", model_, "--data", path(data)});
    return words;
  };
  const auto figures = [&](std::vector<std::string> words) {
    words.insert(words.end(), {"--output", path("eval.json")});
    run_cria_well(words);
    return json::parse(read_bytes(path("eval.json")));
  };
  EXPECT_EQ(figures(eval({"perplexity"}, "texts.jsonl")), figures(eval({}, "texts.jsonl")));
  EXPECT_EQ(figures(eval({"multiple-choice"}, "questions.jsonl")),
            figures(eval({}, "questions.jsonl")));
  expect_refused(eval({"perplexity"}, "questions.jsonl"), "cria eval multiple-choice");
  expect_refused(eval({"multiple-choice"}, "texts.jsonl"), "'question' is missing");
  expect_refused({"eval", "--data", path("texts.jsonl")}, "--model is required");
  expect_refused({"eval", "--model", model_}, "--data is required");
  expect_refused({"eval", "nonsense"}, "nonsense");
}

}  // namespace

}  // namespace cria::testing
