// cria score.
#include <algorithm>

#include "cria/io/safetensors.h"

#include "runs/commands.h"

namespace cria::testing {

namespace {

using nlohmann::json;

std::vector<std::string> golden_sequences() {
  std::vector<std::string> lines;
  for (const json& ids : json::parse(read_bytes(golden("sequences.json")))) {
    lines.push_back(json{{"input_ids", ids}}.dump());
  }
  return lines;
}

class CommandScore : public Commands, public ::testing::WithParamInterface<const char*> {};
INSTANTIATE_TEST_SUITE_P(Models, CommandScore,
                         ::testing::Values("mha_tied", "mha_untied", "gqa_tied", "gqa_untied",
                                           "mqa_tied", "mqa_untied"));

TEST_P(CommandScore, AgreesWithTransformers) {
  const SafetensorsFile file(golden("expected/" + std::string(GetParam()) + ".safetensors"));
  const SafetensorsTensor& expected = *file.find("transformers_fp32");
  size_t next = 0;
  for (const std::string& line : score(GetParam(), golden_sequences())) {
    const std::vector<float> logprobs = json::parse(line)["logprobs"];
    for (const float logprob : logprobs) {
      float other = 0;
      convert_elements(expected, static_cast<int64_t>(next++), 1, DType::f32, &other);
      ASSERT_NEAR(logprob, other, 2e-5) << "token " << next;
    }
  }
  EXPECT_EQ(next, static_cast<size_t>(expected.shape.elements()));
}

TEST_F(Commands, ScoreOfARewardModelIsReadAtTheLastToken) {
  const SafetensorsFile file(golden("expected/reward.safetensors"));
  const SafetensorsTensor& expected = *file.find("transformers_fp32");  // at every token
  const std::vector<std::string> sequences = golden_sequences();
  const std::vector<std::string> scores = score("reward", sequences);
  ASSERT_EQ(scores.size(), sequences.size());
  int64_t row = -1;
  for (size_t i = 0; i < scores.size(); ++i) {
    row += static_cast<int64_t>(json::parse(sequences[i])["input_ids"].size());
    float other = 0;
    convert_elements(expected, row, 1, DType::f32, &other);
    EXPECT_NEAR(json::parse(scores[i])["reward"].get<float>(), other, 2e-5);
  }
}

class CommandScoreBits : public Commands, public ::testing::WithParamInterface<const char*> {};
INSTANTIATE_TEST_SUITE_P(Precisions, CommandScoreBits, ::testing::Values("fp32", "bf16"));

// Passes of 640 tokens, which these sequences fill in different ways when their order changes.
TEST_P(CommandScoreBits, DoesNotDependOnCompany) {
  for (const char* model : {"gqa_untied", "reward"}) {
    const std::vector<std::string> options = {"--precision", GetParam(), "--batch-tokens", "640"};
    std::vector<std::string> sequences = golden_sequences();
    std::vector<std::string> scores = score(model, sequences, options);
    for (size_t i : {size_t{0}, size_t{2}, sequences.size() - 1}) {
      EXPECT_EQ(score(model, {sequences[i]}, options).front(), scores[i]) << model << " alone";
    }
    std::reverse(sequences.begin(), sequences.end());
    std::reverse(scores.begin(), scores.end());
    EXPECT_EQ(score(model, sequences, options), scores) << model << " in reverse";
  }
}

TEST_F(Commands, ScoreSeesTheTokensOfTraining) {
  const std::vector<std::string> data = {
      R"({"text": "Once there was a hat."})", R"({"prompt": "What colour?", "completion": "Red."})",
      R"({"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]})"};
  const std::vector<std::string> scores = score("gqa_untied", data);
  run_cria_well({"tokenize", "--tokenizer", tokenizer_, "--data", path("data.jsonl"), "--format",
                 "sft", "--output", path("ids.jsonl")});
  EXPECT_EQ(score("gqa_untied", lines_of(path("ids.jsonl"))), scores);
}

TEST_F(Commands, ScoreRefusesWhatItCannotScore) {
  const std::string data = path("bad.jsonl");
  const std::string output = path("out.jsonl");
  const auto refuse = [&](const std::string& bytes, const std::string& part,
                          const std::vector<std::string>& options = {}) {
    write_bytes(data, bytes);
    std::vector<std::string> words = {"score", "--model",  model_, "--data",
                                      data,    "--output", output};
    words.insert(words.end(), options.begin(), options.end());
    expect_refused(words, part, output);
  };
  const std::string good = "{\"input_ids\": [1, 2]}\n";
  refuse(good + "{\"input_ids\": [1, 512]}\n", "bad.jsonl:2");
  refuse(good + "{\"input_ids\": []}\n", "bad.jsonl:2");
  refuse(good + json{{"input_ids", std::vector<int>(513, 1)}}.dump() + "\n", "bad.jsonl:2");
  refuse(json{{"input_ids", std::vector<int>(200, 1)}}.dump() + "\n", "--batch-tokens",
         {"--batch-tokens", "128"});
  refuse(good + "{\"colour\": \"red\"}\n", "bad.jsonl:2");
  refuse(good, "fp8", {"--precision", "fp8"});
  refuse(good, "tpu", {"--device", "tpu"});
  refuse(good, "batch-tokens", {"--batch-tokens", "-1"});
  expect_refused({"score", "--model", model_, "--data", "/nowhere.jsonl", "--output", output},
                 "/nowhere.jsonl", output);
  expect_refused({"score", "--model", "/nowhere", "--data", data, "--output", output}, "/nowhere",
                 output);
  write_bytes(output, "earlier\n");
  write_bytes(data, "{\n");
  EXPECT_EQ(run_cria({"score", "--model", model_, "--data", data, "--output", output}).exit_code,
            2);
  EXPECT_EQ(read_bytes(output), "earlier\n");
}

}  // namespace

}  // namespace cria::testing
