// cria init, inspect, tokenizer train and tokenize.
#include <filesystem>

#include "runs/commands.h"
#include "support/places.h"

namespace cria::testing {

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// -----------------------------------------------------------

class CommandInit : public Commands {
 protected:
  std::vector<std::string> init(const std::string& output,
                                const std::vector<std::string>& options = {}) const {
    std::vector<std::string> words = {
        "init",     "--config",  source_path("configs/models/tiny.yaml"), "--tokenizer", tokenizer_,
        "--output", path(output)};
    words.insert(words.end(), options.begin(), options.end());
    return words;
  }
};

TEST_F(CommandInit, WeightsDependOnTheSeedAlone) {
  run_cria_well(init("a", {"--seed", "3"}));
  run_cria_well(init("b", {"--seed", "3"}));
  run_cria_well(init("c", {"--seed", "4"}));
  EXPECT_EQ(read_tree(path("a")), read_tree(path("b")));
  EXPECT_NE(read_bytes(path("a/model.safetensors")), read_bytes(path("c/model.safetensors")));
  EXPECT_EQ(read_bytes(path("a/tokenizer.model")), read_bytes(tokenizer_));
}

TEST_F(CommandInit, WritesAModelThatCommandsRead) {
  run_cria_well(init("model", {"--set", "num_hidden_layers=2", "--set", "num_key_value_heads=1"}));
  const ProcessResult result = run_cria({"inspect", path("model")});
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  for (const char* part : {"num_hidden_layers        2", "num_key_value_heads      1",
                           "model.layers.1.mlp.down_proj.weight", "[512, 128]"}) {
    EXPECT_NE(result.output.find(part), std::string::npos) << part << "\n" << result.output;
  }
  run_cria_well({"generate", "--model", path("model"), "--prompt", "a", "--max-new-tokens", "2"});
}

TEST_F(CommandInit, RefusesToReplaceAndWhatDoesNotFit) {
  fs::create_directory(path("empty"));
  run_cria_well(init("empty"));
  expect_refused(init("empty"), "not empty");
  write_bytes(path("file"), "mine\n");
  expect_refused(init("file"), "file");
  EXPECT_EQ(read_bytes(path("file")), "mine\n");
  expect_refused(init("new", {"--set", "vocab_size=32000"}), "vocab_size", path("new"));
  expect_refused(init("new", {"--set", "hiden_size=8"}), "hidden_size", path("new"));
  expect_refused(init("new", {"--set", "num_attention_heads=3"}), "num_attention_heads",
                 path("new"));
  expect_refused(init("new", {"--set", "num_key_value_heads=3"}), "num_key_value_heads",
                 path("new"));
  expect_refused(init("new", {"--set", "hidden_size=0"}), "hidden_size", path("new"));
  expect_refused(
      {"init", "--config", "/nowhere.yaml", "--tokenizer", tokenizer_, "--output", path("new")},
      "/nowhere.yaml", path("new"));
}

TEST_F(Commands, InspectSaysWhatFilesHold) {
  const auto expect_in = [&](const std::vector<std::string>& words, const std::string& part) {
    const ProcessResult result = run_cria(words);
    EXPECT_EQ(result.exit_code, 0) << result.errors;
    EXPECT_NE(result.output.find(part), std::string::npos) << part << "\n" << result.output;
  };
  expect_in({"inspect", tokenizer_}, "512 pieces, unk 0, bos 1, eos 2, pad none");
  expect_in({"inspect", golden("expected/reward.safetensors")}, "transformers_fp32");
  expect_in({"inspect", golden("models/reward")}, "score.weight");
  write_lines(path("data.jsonl"), {R"({"text": "a"})", R"({"input_ids": [1, 2, 3]})",
                                   R"({"prompt": "a", "completion": "b"})"});
  expect_in({"inspect", path("data.jsonl")}, "3 records");
  expect_in({"inspect", path("data.jsonl"), "--tokenizer", tokenizer_}, "a record has 3 to");
  expect_refused({"inspect", path("nothing")}, "nothing");
  expect_refused({"inspect", path("")}, "config.json");
  write_bytes(path("odd.bin"), "x");
  expect_refused({"inspect", path("odd.bin")}, "odd.bin");
}

TEST_F(Commands, TokenizerIsTrainedAlikeTwice) {
  std::string text;
  for (int i = 0; i < 400; ++i) text += "the hat of person " + std::to_string(i) + " is red\n";
  write_bytes(path("text.txt"), text);
  const auto train = [&](const std::string& output, const std::string& size) {
    return std::vector<std::string>{"tokenizer", "train",      "--data",       path("text.txt"),
                                    "--output",  path(output), "--vocab-size", size};
  };
  run_cria_well(train("a.model", "300"));
  run_cria_well(train("b.model", "300"));
  EXPECT_EQ(read_bytes(path("a.model")), read_bytes(path("b.model")));
  expect_refused(train("c.model", "100000"), "vocab_size", path("c.model"));
  expect_refused(train("c.model", "20"), "vocab_size", path("c.model"));
  expect_refused({"tokenizer", "train", "--data", "/nowhere.txt", "--output", path("c.model")},
                 "/nowhere.txt", path("c.model"));
}

TEST_F(Commands, TokenizeFollowsTheLengthPolicy) {
  write_lines(path("data.jsonl"), {R"({"prompt": "a", "completion": "one two three four five"})",
                                   R"({"prompt": "a", "completion": "b"})"});
  const std::vector<json> all = tokenize_data();
  ASSERT_EQ(all.size(), 2u);
  const size_t shorter = all[1]["input_ids"].size();
  ASSERT_LT(shorter, all[0]["input_ids"].size());
  EXPECT_EQ(all[0]["labels"][0], -100);
  EXPECT_EQ(all[0]["labels"].back(), 2) << "the answer's eos is learnt";

  const std::string length = std::to_string(shorter);
  EXPECT_EQ(tokenize_data({"--max-length", length}), std::vector<json>{all[1]});
  const std::vector<json> cut = tokenize_data({"--max-length", length, "--over-long", "truncate"});
  ASSERT_EQ(cut.size(), 2u);
  EXPECT_EQ(cut[0]["input_ids"].size(), shorter);
}

TEST_F(Commands, TokenizeRefusesUnknownPolicies) {
  write_lines(path("data.jsonl"), {R"({"prompt": "a", "completion": "b"})"});
  const auto refuse = [&](const std::string& option, const std::string& value,
                          const std::string& part) {
    expect_refused({"tokenize", "--tokenizer", tokenizer_, "--data", path("data.jsonl"), "--output",
                    path("out.jsonl"), option, value},
                   part, path("out.jsonl"));
  };
  refuse("--over-long", "fold", "fold");
  refuse("--format", "odd", "odd");
  refuse("--max-length", "1", "max_length");
}

}  // namespace

}  // namespace cria::testing
