// cria generate.
#include "runs/commands.h"

namespace cria::testing {

namespace {

using nlohmann::json;

class CommandGenerate : public Commands {
 protected:
  std::vector<json> generate(const std::vector<std::string>& options) const {
    std::vector<std::string> words = {"generate", "--model", model_, "--output",
                                      path("answers.jsonl")};
    words.insert(words.end(), options.begin(), options.end());
    run_cria_well(words);
    return json_lines(path("answers.jsonl"));
  }
};

TEST_F(CommandGenerate, GeneratedLogprobsAreThoseOfScore) {
  write_lines(path("prompts.jsonl"),
              {R"({"prompt": "What colour?"})", R"({"input_ids": [1, 5, 9]})",
               R"({"messages": [{"role": "user", "content": "Hi"}]})"});
  const std::vector<json> answers = generate({"--prompts", path("prompts.jsonl"), "--chat",
                                              "--num-samples", "2", "--max-new-tokens", "40"});
  ASSERT_EQ(answers.size(), 6u);
  EXPECT_EQ(answers[0]["prompt"], "What colour?");
  EXPECT_EQ(answers[2]["prompt"], (std::vector<int>{1, 5, 9}));
  EXPECT_EQ(answers[3]["sample"], 1);
  EXPECT_NE(answers[2]["completion_ids"], answers[3]["completion_ids"]);
  const std::vector<int> prompt = {1, 5, 9};
  for (const size_t i : {2, 3}) {
    std::vector<int> ids = prompt;
    for (const int id : answers[i]["completion_ids"]) ids.push_back(id);
    const std::vector<std::string> scores = score("gqa_untied", {json{{"input_ids", ids}}.dump()});
    const std::vector<float> logprobs = json::parse(scores[0])["logprobs"];
    const std::vector<float> generated = answers[i]["logprobs"];
    ASSERT_EQ(generated.size() + prompt.size() - 1, logprobs.size());
    for (size_t t = 0; t < generated.size(); ++t) {
      EXPECT_NEAR(generated[t], logprobs[prompt.size() - 1 + t], 2e-5);
    }
  }
}

TEST_F(CommandGenerate, GenerateDependsOnTheSeedAlone) {
  const std::vector<std::string> options = {"--prompt", "Once", "--max-new-tokens", "30"};
  const std::vector<json> once = generate(options);
  EXPECT_EQ(generate(options), once);
  std::vector<std::string> other = options;
  other.insert(other.end(), {"--seed", "1"});
  EXPECT_NE(generate(other), once);
  EXPECT_EQ(once[0]["prompt"], "Once");
  EXPECT_LE(once[0]["completion_ids"].size(), 30u);
}

TEST_F(CommandGenerate, GenerateIgnoresAnswersThatAreThere) {
  write_lines(path("a.jsonl"), {R"({"prompt": "What?", "completion": "This."})"});
  write_lines(
      path("b.jsonl"),
      {R"({"messages": [{"role": "user", "content": "What?"}, {"role": "assistant", "content": "This."}]})"});
  const std::vector<std::string> options = {"--chat", "--temperature", "0", "--max-new-tokens",
                                            "12",     "--prompts"};
  const auto ids = [&](const std::string& file) {
    std::vector<std::string> words = options;
    words.push_back(path(file));
    return generate(words)[0]["completion_ids"];
  };
  EXPECT_EQ(ids("a.jsonl"), ids("b.jsonl"));
}

TEST_F(CommandGenerate, GeneratePrintsTheTextAfterItsPrompt) {
  const ProcessResult result =
      run_cria({"generate", "--model", model_, "--prompt", "Once upon", "--max-new-tokens", "5"});
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_EQ(result.output.rfind("Once upon", 0), 0u) << result.output;
}

TEST_F(CommandGenerate, GenerateRefusesWhatItCannotAnswer) {
  const std::string output = path("out.jsonl");
  const auto refuse = [&](const std::vector<std::string>& options, const std::string& part) {
    std::vector<std::string> words = {"generate", "--model", model_, "--output", output};
    words.insert(words.end(), options.begin(), options.end());
    expect_refused(words, part, output);
  };
  const auto refuse_line = [&](const std::string& line, const std::string& part) {
    write_lines(path("bad.jsonl"), {R"({"prompt": "good"})", line});
    refuse({"--prompts", path("bad.jsonl")}, part);
  };
  refuse({}, "prompt");
  refuse({"--prompt", "a", "--prompts", "b"}, "prompt");
  refuse({"--prompt", "a", "--temperature", "-1"}, "temperature");
  refuse({"--prompt", "a", "--top-p", "0"}, "top_p");
  refuse({"--prompt", "a", "--top-k", "-3"}, "top_k");
  refuse({"--prompt", "a", "--max-new-tokens", "0"}, "max_new_tokens");
  refuse({"--prompt", "a", "--num-samples", "0"}, "num-samples");
  refuse({"--prompt", "a", "--slots", "0"}, "slots");
  refuse({"--prompt", "\xff"}, "UTF-8");
  refuse_line(R"({"colour": "red"})", "bad.jsonl:2");
  refuse_line(R"({"prompt": 4})", "bad.jsonl:2");
  refuse_line(R"({"messages": [{"role": "assistant", "content": "a"}]})", "bad.jsonl:2");
  refuse_line(R"({"input_ids": [1, 512]})", "bad.jsonl:2");
  refuse_line(json{{"input_ids", std::vector<int>(512, 1)}}.dump(), "bad.jsonl:2");
  expect_refused({"generate", "--model", golden("models/reward"), "--prompt", "a"},
                 "models/reward");
}

}  // namespace

}  // namespace cria::testing
