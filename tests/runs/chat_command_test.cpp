// cria chat, through a pipe and at a terminal.
#include <algorithm>
#include <csignal>
#include <filesystem>

#include "runs/commands.h"
#include "runs/terminal_process.h"
#include "support/places.h"

namespace cria::testing {

namespace {

using nlohmann::json;

class CommandChat : public Commands {
 protected:
  // Lines through a pipe.
  ProcessResult chat(const std::string& lines, const std::vector<std::string>& options = {}) const {
    write_bytes(path("lines"), lines);
    std::vector<std::string> words = {"chat", "--model", model_};
    words.insert(words.end(), options.begin(), options.end());
    return Process({"sh", "-c", "exec \"$0\" \"$@\" < " + path("lines")}, words).wait();
  }

  std::vector<json> generate(const std::vector<std::string>& options) const {
    std::vector<std::string> words = {"generate", "--model",  model_,
                                      "--chat",   "--output", path("answers.jsonl")};
    words.insert(words.end(), options.begin(), options.end());
    run_cria_well(words);
    return json_lines(path("answers.jsonl"));
  }

  // A model that repeats the end of its prompt, "]", for ever: with tied embeddings and so small an
  // initialization that its layers add next to nothing, the likeliest token is the one just read.
  // 1,000 of them take a second, and fit in the buffer of a stream that nobody flushes.
  std::string endless_model() const {
    const std::string directory = path("endless");
    run_cria_well({"init", "--config", source_path("configs/models/tiny.yaml"), "--tokenizer",
                   tokenizer_, "--output", directory, "--set", "max_position_embeddings=2048",
                   "--set", "num_hidden_layers=24", "--set", "initializer_range=0.002", "--seed",
                   "1"});
    return directory;
  }
};

const std::vector<std::string> kGreedy = {"--temperature", "0", "--max-new-tokens", "20"};

// The golden models' greedy answers, one engine against the other.
TEST_F(CommandChat, PipedAnswersAreThoseOfGenerate) {
  std::vector<std::string> options = kGreedy;
  options.insert(options.end(), {"--system", "Be brief."});
  const ProcessResult result = chat("What colour?\n", options);
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  options.insert(options.end(), {"--prompt", "What colour?"});
  const std::string expected = generate(options)[0]["completion"];
  EXPECT_FALSE(expected.empty());
  EXPECT_EQ(result.output, expected + "\n");
}

TEST_F(CommandChat, EachTurnSeesTheOnesBefore) {
  const ProcessResult result =
      chat("What colour?\nWhy?\n/save " + path("saved.jsonl") + "\n", kGreedy);
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  const std::vector<json> saved = json_lines(path("saved.jsonl"));
  ASSERT_EQ(saved.size(), 1u);
  const json& messages = saved[0]["messages"];
  ASSERT_EQ(messages.size(), 4u);
  EXPECT_EQ(messages[0], (json{{"role", "user"}, {"content", "What colour?"}}));
  EXPECT_EQ(messages[1]["role"], "assistant");
  EXPECT_EQ(messages[2], (json{{"role", "user"}, {"content", "Why?"}}));
  const std::string first = messages[1]["content"], second = messages[3]["content"];
  EXPECT_EQ(result.output, first + "\n" + second + "\n");
  EXPECT_EQ(chat("Why?\n", kGreedy).output.find(second), std::string::npos)
      << "the second answer does not depend on the first turn";
}

TEST_F(CommandChat, ResetForgetsAndSystemStartsAnew) {
  std::vector<std::string> options = kGreedy;
  options.insert(options.end(), {"--save", path("all.jsonl")});
  const ProcessResult result =
      chat("What?\nWhy?\n/reset\nWhat?\n/system Be brief.\nWhat?\n/system\nWhat?\n", options);
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  const std::vector<json> dialogues = json_lines(path("all.jsonl"));
  ASSERT_EQ(dialogues.size(), 4u);
  EXPECT_EQ(dialogues[0]["messages"].size(), 4u);
  EXPECT_EQ(dialogues[1]["messages"].size(), 2u);
  ASSERT_EQ(dialogues[2]["messages"].size(), 3u);
  EXPECT_EQ(dialogues[1]["messages"][1], dialogues[0]["messages"][1]);
  EXPECT_EQ(dialogues[3], dialogues[1]);
  EXPECT_EQ(dialogues[2]["messages"][0], (json{{"role", "system"}, {"content", "Be brief."}}));
  EXPECT_NE(dialogues[2]["messages"][2], dialogues[1]["messages"][1]);
}

TEST_F(CommandChat, SamplesDependOnTheSeedAndDifferFromDialogueToDialogue) {
  const std::string lines = "Hello\n/reset\nHello\n";
  const ProcessResult once = chat(lines, {"--max-new-tokens", "30"});
  EXPECT_EQ(once.output, chat(lines, {"--max-new-tokens", "30"}).output);
  EXPECT_NE(once.output, chat(lines, {"--max-new-tokens", "30", "--seed", "1"}).output);
  EXPECT_NE(once.output.substr(0, once.output.size() / 2),
            once.output.substr(once.output.size() / 2));
}

TEST_F(CommandChat, SaysWhatIsWrongAndGoesOn) {
  const std::string long_message(3000, 'x');
  const ProcessResult result =
      chat("/nonsense\n/save\n/save " + path("early.jsonl") + "\n\xff\n" + long_message +
               "\n\n   \n/help\nHi\n/save /dev/null/x\n"
               "/quit\nnever read\n",
           {"--temperature", "0", "--max-new-tokens", "5"});
  EXPECT_EQ(result.exit_code, 0);
  for (const std::string part :
       {"/nonsense: there is no such command", "/save: give the name", "nothing was said yet",
        "UTF-8", "context is 512", "/reset begins a new dialogue", "/system TEXT",
        "/dev/null: cannot"}) {
    EXPECT_NE(result.errors.find(part), std::string::npos) << part << " in: " << result.errors;
  }
  EXPECT_EQ(result.output, chat("Hi\n", {"--temperature", "0", "--max-new-tokens", "5"}).output);
  EXPECT_FALSE(std::filesystem::exists(path("early.jsonl")));
}

TEST_F(CommandChat, ADialogueThatFillsTheContextEndsWithAMessage) {
  const ProcessResult result =
      chat("One\nTwo\nThree\n/reset\nFour\n",
           {"--temperature", "0", "--max-new-tokens", "300", "--save", path("all.jsonl")});
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_NE(result.errors.find("context is full, /reset"), std::string::npos) << result.errors;
  EXPECT_NE(result.errors.find("the model's context is 512"), std::string::npos) << result.errors;
  const std::vector<json> dialogues = json_lines(path("all.jsonl"));
  ASSERT_EQ(dialogues.size(), 2u) << "no answer after /reset";
  EXPECT_EQ(dialogues[0]["messages"].size(), 4u) << "the third message found no room";
}

TEST_F(CommandChat, RefusesBadSettings) {
  expect_refused({"chat", "--model", model_, "--temperature", "-1"}, "temperature");
  expect_refused({"chat", "--model", path("none")}, "none");
  expect_refused({"chat", "--model", golden("models/reward")}, "reward");
}

TEST_F(CommandChat, AtATerminalAnswersStreamAndCtrlCStopsThem) {
  TerminalProcess chat(
      {"chat", "--model", endless_model(), "--temperature", "0", "--max-new-tokens", "1000"});
  chat.read_until("context of 2048 tokens");
  chat.read_prompt();
  chat.type("Hello\n");
  chat.read_until("]]]]]");  // while the answer is under way:
  chat.type("\x03");
  const std::string rest = chat.read_until("(stopped)");
  EXPECT_LT(std::count(rest.begin(), rest.end(), ']'), 990) << "the answer came whole";
  chat.read_prompt();
  chat.type("/save " + path("saved.jsonl") + "\n");
  chat.read_until("saved to");
  const json messages = json_lines(path("saved.jsonl")).at(0)["messages"];
  ASSERT_EQ(messages.size(), 2u);
  const std::string answer = messages[1]["content"];
  EXPECT_GE(answer.size(), 5u);
  EXPECT_LT(answer.size(), 1000u);

  chat.read_prompt();
  chat.type("/reset\n");
  chat.read_until("a new dialogue");
  chat.read_prompt();
  chat.type("Ge\x7food \xc3\xa9t\xc3\xa9\n");  // with a slip corrected
  chat.read_until("]]]]]");
  chat.type("\x03");
  chat.read_until("(stopped)");
  chat.read_prompt();
  chat.type("/save " + path("saved.jsonl") + "\n");
  chat.read_until("saved to");
  EXPECT_EQ(json_lines(path("saved.jsonl")).at(0)["messages"][0]["content"], "Good \u00e9t\u00e9");
  chat.read_prompt();
  chat.type("/quit\n");
  EXPECT_EQ(chat.wait(), 0);
}

TEST_F(CommandChat, AtATerminalCtrlDAndCtrlCEnd) {
  for (const bool interrupt : {false, true}) {
    TerminalProcess chat({"chat", "--model", model_});
    chat.read_prompt();
    chat.type(interrupt ? "\x03" : "\x04");
    EXPECT_EQ(chat.wait(), interrupt ? -SIGINT : 0);
  }
}

}  // namespace

}  // namespace cria::testing
