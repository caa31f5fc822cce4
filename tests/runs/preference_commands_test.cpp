// cria score, tokenize and inspect data on preferences.
#include <filesystem>
#include <sstream>

#include "runs/commands.h"

namespace cria::testing {

namespace {

using nlohmann::json;

// The same prompt and answers in the forms that a line may have, and dialogues.
std::vector<std::string> preferences() {
  return {
      R"({"prompt": "What colour?", "chosen": "Red.", "rejected": "It is hot.", "rating": "better", "source": "a \"b\""})",
      R"({"chosen": "\n\nHuman: Hi\n\nAssistant: Hello", "rejected": "\n\nHuman: Hi\n\nAssistant: No", "margin": 0.3})",
      R"({"prompt": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}], "chosen": "Yes", "rejected": "No", "category": "safety", "chosen_safe": true, "rejected_safe": false})",
      R"({"chosen_input_ids": [1, 5, 6, 2], "rejected_input_ids": [1, 5, 7, 8, 2]})"};
}

// What the chosen or rejected answers are as fine-tuning data.
std::vector<std::string> answers(const std::string& which) {
  const bool chosen = which == "chosen";
  return {json{{"prompt", "What colour?"}, {"completion", chosen ? "Red." : "It is hot."}}.dump(),
          json{{"prompt", "Hi"}, {"completion", chosen ? "Hello" : "No"}}.dump(),
          json{{"messages",
                {{{"role", "system"}, {"content", "Be brief."}},
                 {{"role", "user"}, {"content", "Hi"}},
                 {{"role", "assistant"}, {"content", chosen ? "Yes" : "No"}}}}}
              .dump(),
          chosen ? R"({"input_ids": [1, 5, 6, 2], "labels": [-100, -100, 6, 2]})"
                 : R"({"input_ids": [1, 5, 7, 8, 2], "labels": [-100, -100, 7, 8, 2]})"};
}

// Of a pair, what each of its answers scores alone.
TEST_F(Commands, ScoreOfAPreferenceIsThatOfItsAnswers) {
  namespace fs = std::filesystem;
  const std::string reward_model = path("reward");  // with a tokenizer for its 320 ids
  fs::copy(golden("models/reward"), reward_model);
  std::string text;
  for (int i = 0; i < 400; ++i) text += "the hat of person " + std::to_string(i) + " is red\n";
  write_bytes(path("text.txt"), text);
  run_cria_well({"tokenizer", "train", "--data", path("text.txt"), "--vocab-size", "300",
                 "--output", reward_model + "/tokenizer.model"});
  const auto scores = [&](const std::string& model, const std::vector<std::string>& lines) {
    write_lines(path("data.jsonl"), lines);
    run_cria_well({"score", "--model", model, "--data", path("data.jsonl"), "--output",
                   path("scores.jsonl")});
    return json_lines(path("scores.jsonl"));
  };
  for (const auto& [model, name] :
       {std::pair<std::string, std::string>{reward_model, "reward"}, {model_, "logprobs"}}) {
    const std::vector<json> pairs = scores(model, preferences());
    const std::vector<json> chosen = scores(model, answers("chosen"));
    const std::vector<json> rejected = scores(model, answers("rejected"));
    ASSERT_EQ(pairs.size(), 4u);
    for (size_t i = 0; i < pairs.size(); ++i) {
      EXPECT_EQ(pairs[i].size(), 2u);
      EXPECT_EQ(pairs[i]["chosen_" + name], chosen[i][name]);
      EXPECT_EQ(pairs[i]["rejected_" + name], rejected[i][name]);
      EXPECT_NE(pairs[i]["chosen_" + name], pairs[i]["rejected_" + name]);
    }
  }
}

TEST_F(Commands, ScoreRefusesBadPreferences) {
  const std::string output = path("out.jsonl");
  const std::string good = preferences()[0];
  for (const auto& [line, part] :
       {std::pair<std::string, std::string>{R"({"prompt": "p", "chosen": "a"})", "'rejected'"},
        {R"({"prompt": "p", "chosen": "a", "rejected": ""})", "'rejected' has an empty answer"},
        {R"({"prompt": "p", "chosen": "a", "rejected": "b", "rating": "best"})", "'rating'"},
        {R"({"text": "a"})", "neither 'chosen' nor 'rejected'"}}) {
    write_lines(path("bad.jsonl"), {good, line});
    const std::vector<std::string> words = {"score",           "--model",  model_, "--data",
                                            path("bad.jsonl"), "--output", output};
    expect_refused(words, part, output);
    expect_refused(words, "bad.jsonl:2", output);
  }
}

TEST_F(Commands, TokenizeWritesBothSequences) {
  std::vector<json> examples[2];
  for (const int rejected : {0, 1}) {
    write_lines(path("data.jsonl"), answers(rejected ? "rejected" : "chosen"));
    examples[rejected] = tokenize_data();
  }
  write_lines(path("data.jsonl"), preferences());
  const std::vector<json> pairs = tokenize_data();
  ASSERT_EQ(pairs.size(), 4u);
  for (size_t i = 0; i < pairs.size(); ++i) {
    EXPECT_EQ(pairs[i]["chosen_input_ids"], examples[0][i]["input_ids"]);
    EXPECT_EQ(pairs[i]["chosen_labels"], examples[0][i]["labels"]);
    EXPECT_EQ(pairs[i]["rejected_input_ids"], examples[1][i]["input_ids"]);
    EXPECT_EQ(pairs[i]["rejected_labels"], examples[1][i]["labels"]);
  }
  EXPECT_EQ(pairs[0]["rating"], "better");
  EXPECT_EQ(pairs[0]["source"], "a \"b\"");
  EXPECT_EQ(pairs[0]["category"], "helpful");
  EXPECT_FALSE(pairs[0].contains("margin") || pairs[0].contains("chosen_safe"));
  EXPECT_EQ(pairs[1]["margin"].get<float>(), 0.3f);
  EXPECT_EQ(pairs[1]["source"], path("data.jsonl"));
  EXPECT_EQ(pairs[2]["category"], "safety");
  EXPECT_EQ(pairs[2]["chosen_safe"], true);
  EXPECT_EQ(pairs[2]["rejected_safe"], false);

  // What was written is read as what it was written from.
  std::vector<std::string> lines;
  for (const json& pair : pairs) lines.push_back(pair.dump());
  write_lines(path("data.jsonl"), lines);
  EXPECT_EQ(tokenize_data(), pairs);
}

std::vector<std::vector<std::string>> cells(const std::string& text) {
  std::vector<std::vector<std::string>> rows;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    rows.emplace_back();
    for (std::string word; words >> word;) rows.back().push_back(word);
  }
  return rows;
}

TEST_F(Commands, InspectDataCountsComparisonsBySource) {
  const std::string data = path("data.jsonl");
  write_lines(
      data,
      {R"({"chosen_input_ids": [1, 5, 6, 2], "rejected_input_ids": [1, 5, 7, 8, 9, 2], "source": "meta", "rating": "better", "category": "safety"})",
       R"({"chosen_input_ids": [1, 5, 6, 2, 1, 9, 10, 2], "rejected_input_ids": [1, 5, 6, 2, 1, 9, 11, 12, 13, 2], "source": "meta"})",
       R"({"chosen_input_ids": [1, 5, 6], "rejected_input_ids": [1, 5, 7], "rating": "negligibly_better"})",
       R"({"chosen_input_ids": [1, 5, 6], "rejected_input_ids": [1, 5, 6]})",
       R"({"chosen_input_ids": [1, 5, 6]})"});
  const std::vector<std::string> words = {"inspect",     "data",     "--data",   data,
                                          "--tokenizer", tokenizer_, "--output", path("out.json")};
  expect_refused(words, "data.jsonl:5", path("out.json"));
  std::vector<std::string> skipping = words;
  skipping.push_back("--skip-bad-lines");
  const ProcessResult result = run_cria(skipping);
  ASSERT_EQ(result.exit_code, 0) << result.errors;
  const auto rows = cells(result.output);
  using Row = std::vector<std::string>;
  ASSERT_EQ(rows.size(), 11u) << result.output;
  EXPECT_EQ(rows[1], (Row{data, "1", "1.0", "3.0", "2.0", "1.0"}));
  EXPECT_EQ(rows[2], (Row{"meta", "2", "1.5", "7.0", "2.0", "3.0"}));
  EXPECT_EQ(rows[3], (Row{"total", "3", "1.3", "5.7", "2.0", "2.3"}));
  // significantly, better, slightly, negligibly, unrated, helpful, safety
  EXPECT_EQ(rows[6], (Row{data, "0", "0", "0", "1", "0", "1", "0"}));
  EXPECT_EQ(rows[7], (Row{"meta", "0", "1", "0", "0", "1", "1", "1"}));
  EXPECT_EQ(rows[8], (Row{"total", "0", "1", "0", "1", "1", "2", "1"}));

  const json figures = json::parse(read_bytes(path("out.json")));
  EXPECT_EQ(figures["sources"]["meta"]["comparisons"], 2);
  EXPECT_EQ(figures["sources"]["meta"]["tokens_in_response"], 3.0);
  EXPECT_EQ(figures["total"]["turns_per_dialogue"], 8.0 / 6.0);
  EXPECT_EQ(figures["total"]["ratings"]["unrated"], 1);
  EXPECT_EQ(figures["total"]["categories"]["safety"], 1);
  EXPECT_EQ(figures["files"][0]["identical"], 1);
  EXPECT_EQ(figures["files"][0]["skipped"], 1);
}

TEST_F(Commands, InspectDataCountsExamplesByFile) {
  const std::string data = path("data.jsonl"), other = path("other.jsonl");
  write_lines(
      data,
      {R"({"prompt": "What colour?", "completion": "Red."})",
       R"({"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"},
           {"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Me"}]})"});
  std::string bytes = read_bytes(data);
  for (size_t at; (at = bytes.find("},\n")) != std::string::npos;) bytes[at + 2] = ' ';
  write_bytes(data, bytes);
  write_lines(
      other, {R"({"input_ids": [1, 5, 6, 2], "labels": [-100, -100, 6, 2]})",
              R"({"input_ids": [1, 5, 6, 7, 8, 9, 2], "labels": [-100, -100, -100, 7, 8, 9, 2]})"});
  const std::vector<json> examples = tokenize_data();
  size_t tokens = 0, responses = 0;
  for (const json& example : examples) {
    tokens += example["input_ids"].size();
    const std::vector<int> labels = example["labels"];
    for (auto label = labels.rbegin(); *label != -100; ++label) ++responses;
  }
  run_cria_well({"inspect", "data", "--data", data, other, "--tokenizer", tokenizer_, "--output",
                 path("out.json")});
  json figures = json::parse(read_bytes(path("out.json")));
  const json first = figures["sources"][data], second = figures["sources"][other];
  EXPECT_EQ(first["examples"], 2);
  EXPECT_EQ(first["turns_per_dialogue"], 1.5);
  EXPECT_EQ(first["tokens_per_example"], static_cast<double>(tokens) / 2);
  EXPECT_EQ(first["tokens_in_response"], static_cast<double>(responses) / 2);
  EXPECT_EQ(second["tokens_in_prompt"], 2.5);
  EXPECT_EQ(second["tokens_in_response"], 3.0);
  EXPECT_FALSE(first.contains("ratings"));

  run_cria_well({"inspect", "data", "--data", other, "--tokenizer", tokenizer_, "--output",
                 path("out.json"), "--max-length", "5"});
  figures = json::parse(read_bytes(path("out.json")));
  EXPECT_EQ(figures["total"]["examples"], 1);
  EXPECT_EQ(figures["files"][0]["dropped"], 1);
}

TEST_F(Commands, InspectDataRefusesWhatItCannotCount) {
  write_lines(path("a.jsonl"), {preferences()[0]});
  write_lines(path("b.jsonl"), {R"({"text": "a"})"});
  expect_refused(
      {"inspect", "data", "--data", path("a.jsonl"), path("b.jsonl"), "--tokenizer", tokenizer_},
      "inspect them apart");
  expect_refused({"inspect", "data", "--data", "/nowhere.jsonl", "--tokenizer", tokenizer_},
                 "/nowhere.jsonl");
  expect_refused({"inspect", "data", "--data", path("a.jsonl"), "--tokenizer", tokenizer_,
                  "--max-length", "1"},
                 "max_length");
  expect_refused({"inspect"}, "nothing to look at");
}

}  // namespace

}  // namespace cria::testing
