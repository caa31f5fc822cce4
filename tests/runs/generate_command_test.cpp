// cria generate.
#include <chrono>
#include <csignal>
#include <filesystem>
#include <regex>
#include <thread>

#include "runs/commands.h"
#include "runs/terminal_process.h"

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

TEST_F(CommandGenerate, BadLinesAreLeftOutAndCountedWhenAsked) {
  const std::string too_long = json{{"input_ids", std::vector<int>(512, 1)}}.dump();
  write_lines(path("prompts.jsonl"), {R"({"prompt": "One"})", "no JSON", R"({"prompt": 4})",
                                      too_long, R"({"prompt": "Two"})"});
  const std::vector<std::string> options = {"generate",
                                            "--model",
                                            model_,
                                            "--output",
                                            path("answers.jsonl"),
                                            "--prompts",
                                            path("prompts.jsonl"),
                                            "--max-new-tokens",
                                            "10"};
  expect_refused(options, "prompts.jsonl:2", path("answers.jsonl"));
  std::vector<std::string> skipping = options;
  skipping.push_back("--skip-bad-lines");
  const ProcessResult result = run_cria(skipping);
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_NE(result.errors.find("3 bad lines"), std::string::npos) << result.errors;
  EXPECT_NE(result.errors.find("prompts.jsonl:2"), std::string::npos) << result.errors;
  const std::vector<json> answers = json_lines(path("answers.jsonl"));
  ASSERT_EQ(answers.size(), 2u);
  EXPECT_EQ(answers[0]["prompt"], "One");
  EXPECT_EQ(answers[1]["prompt"], "Two");

  // The lines left out do not change the others' samples.
  write_lines(path("prompts.jsonl"),
              {R"({"prompt": "One"})", R"({"prompt": "a"})", R"({"prompt": "b"})",
               R"({"prompt": "c"})", R"({"prompt": "Two"})"});
  run_cria_well(options);
  EXPECT_EQ(json_lines(path("answers.jsonl"))[4], answers[1]);
}

TEST_F(CommandGenerate, AtATerminalABarCountsTheAnswers) {
  write_lines(path("prompts.jsonl"), {R"({"prompt": "One"})", R"({"prompt": "Two"})"});
  TerminalProcess terminal(
      {"generate", "--model", model_, "--prompts", path("prompts.jsonl"), "--output",
       path("answers.jsonl"), "--num-samples", "3", "--max-new-tokens", "200"},
      90);
  const std::string text = terminal.read_to_end();
  EXPECT_EQ(terminal.wait(), 0) << text;
  EXPECT_TRUE(std::regex_search(text, std::regex("\ranswer 6/6 \\[=+\\] 100%  \\d+ tokens/s")))
      << text;
  EXPECT_NE(text.find("6 of 6 answers, "), std::string::npos) << text;
  EXPECT_EQ(json_lines(path("answers.jsonl")).size(), 6u);
}

// Stopped in the middle, generate leaves the answers that were complete, whole and in order.
TEST_F(CommandGenerate, ASignalLeavesWhatIsComplete) {
  std::vector<std::string> prompts;
  for (int i = 0; i < 2000; ++i) {
    prompts.push_back(json{{"prompt", "Number " + std::to_string(i)}}.dump());
  }
  write_lines(path("prompts.jsonl"), prompts);
  const auto command = [&](const std::string& file) {
    return std::vector<std::string>{
        "generate",        "--model", model_, "--prompts",        path(file), "--output",
        path("out.jsonl"), "--slots", "2",    "--max-new-tokens", "60"};
  };
  write_lines(path("few.jsonl"), {prompts.begin(), prompts.begin() + 8});
  const auto start = std::chrono::steady_clock::now();
  run_cria_well(command("few.jsonl"));
  const auto time_of_few = std::chrono::steady_clock::now() - start;
  const std::vector<json> few = json_lines(path("out.jsonl"));

  // On a busy machine the second run may be slower than the first: then it is given longer.
  const auto answers_by_signal = [&](int signal) {
    std::vector<json> answers;
    for (int wait = 2; answers.size() < 3 && wait <= 32; wait *= 2) {
      std::filesystem::remove(path("out.jsonl"));
      Process process(command("prompts.jsonl"));
      while (process.running() && !process.handles(SIGTERM)) std::this_thread::yield();
      std::this_thread::sleep_for(wait * time_of_few);
      process.signal(signal);
      const ProcessResult result = process.wait();
      EXPECT_EQ(result.exit_code, 128 + signal) << result.errors;
      EXPECT_NE(result.errors.find("stopped by signal"), std::string::npos) << result.errors;
      if (std::filesystem::exists(path("out.jsonl"))) answers = json_lines(path("out.jsonl"));
    }
    return answers;
  };
  for (const int signal : {SIGINT, SIGTERM}) {
    const std::vector<json> answers = answers_by_signal(signal);
    ASSERT_GE(answers.size(), 3u);
    ASSERT_LT(answers.size(), prompts.size());
    int last = -1;
    for (size_t i = 0; i < answers.size(); ++i) {
      const int number = std::stoi(answers[i]["prompt"].get<std::string>().substr(7));
      EXPECT_GT(number, last);
      last = number;
      if (static_cast<size_t>(number) < few.size()) {
        EXPECT_EQ(answers[i], few[static_cast<size_t>(number)]);
      }
    }
  }
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
