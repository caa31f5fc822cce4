// cria tokenize --gatt.
#include "runs/commands.h"

namespace cria::testing {

namespace {

using nlohmann::json;

class CommandTokenizeGatt : public Commands {
 protected:
  CommandTokenizeGatt() {
    json messages = json::array();
    for (const char* turn : {"Who?", "Me.", "Why?", "So."}) {
      const bool user = messages.size() % 2 == 0;
      messages.push_back({{"role", user ? "user" : "assistant"}, {"content", turn}});
    }
    write_lines(path("data.jsonl"),
                {json{{"messages", messages}, {"instruction", "Be a pirate."}, {"short", "Pirate."}}
                     .dump()});
  }

  // As `cria tokenize` without --gatt writes a dialogue: up to its last answer, or with it.
  json tokenized(const std::vector<std::string>& users) {
    json messages = json::array();
    const char* answers[] = {"Me.", "So."};
    for (size_t i = 0; i < users.size(); ++i) {
      messages.push_back({{"role", "user"}, {"content", users[i]}});
      messages.push_back({{"role", "assistant"}, {"content", answers[i]}});
    }
    write_lines(path("plain.jsonl"), {json{{"messages", messages}}.dump()});
    run_cria_well({"tokenize", "--tokenizer", tokenizer_, "--data", path("plain.jsonl"), "--output",
                   path("plain_ids.jsonl")});
    return json_lines(path("plain_ids.jsonl"))[0];
  }
};

TEST_F(CommandTokenizeGatt, WritesThePromptToSampleFromAndTheExampleToTrainOn) {
  const json line = tokenize_data({"--gatt"})[0];
  const json training = tokenized({"Be a pirate. Who?", "Why?"});
  EXPECT_EQ(line["input_ids"], training["input_ids"]);
  const json first = tokenized({"Be a pirate. Who?"});
  std::vector<int> labels = training["labels"];
  std::fill_n(labels.begin(), first["labels"].size(), -100);
  EXPECT_EQ(line["labels"], json(labels));
  EXPECT_NE(line["labels"], training["labels"]);

  const json every = tokenized({"Be a pirate. Who?", "Be a pirate. Why?"});
  const std::vector<int> whole = every["input_ids"];
  const std::vector<int> every_labels = every["labels"];
  size_t answer = whole.size();
  while (every_labels[answer - 1] != -100) --answer;
  EXPECT_EQ(line["sampling_input_ids"],
            json(std::vector<int>(whole.begin(), whole.begin() + answer)));
}

TEST_F(CommandTokenizeGatt, WithoutAFileTheyAreShownWithWhatIsLearnt) {
  const ProcessResult shown =
      run_cria({"tokenize", "--gatt", "--tokenizer", tokenizer_, "--data", path("data.jsonl")});
  ASSERT_EQ(shown.exit_code, 0) << shown.errors;
  for (const char* part : {"sampling: <s>[INST] Be a pirate. Who? [/INST] Me. </s><s>[INST] Be a "
                           "pirate. Why? [/INST]\n",
                           "training: <s>[INST] Be a pirate. Who? [/INST] Me. </s><s>[INST] Why? "
                           "[/INST]« So. </s>»\n"}) {
    EXPECT_NE(shown.output.find(part), std::string::npos) << shown.output;
  }
  // Every other form of data needs a file.
  expect_refused({"tokenize", "--tokenizer", tokenizer_, "--data", path("data.jsonl")}, "--output");
}

TEST_F(CommandTokenizeGatt, DropsTurnsThatDoNotFitAndRefusesLinesWithoutAnInstruction) {
  const json line = tokenize_data({"--gatt"})[0];
  const size_t longest = std::max(line["input_ids"].size(), line["sampling_input_ids"].size());
  const auto result_of = [&](size_t length) {
    return run_cria({"tokenize", "--gatt", "--tokenizer", tokenizer_, "--data", path("data.jsonl"),
                     "--output", path("ids.jsonl"), "--max-length", std::to_string(length)});
  };
  // Two turns are the first and the last: neither may go.
  EXPECT_NE(result_of(longest - 1).output.find("1 longer than max_length left out"),
            std::string::npos);
  EXPECT_NE(result_of(longest).output.find("1 dialogues\n"), std::string::npos);
  write_lines(path("data.jsonl"), {R"({"messages": [{"role": "user", "content": "Who?"}]})"});
  expect_refused({"tokenize", "--gatt", "--tokenizer", tokenizer_, "--data", path("data.jsonl"),
                  "--output", path("none.jsonl")},
                 "data.jsonl:1: field 'instruction'", path("none.jsonl"));
}

}  // namespace

}  // namespace cria::testing
