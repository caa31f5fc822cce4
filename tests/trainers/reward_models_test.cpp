#include "trainers/reward_models.h"

#include <cmath>
#include <filesystem>

#include <gtest/gtest.h>

#include "cria/io/file.h"
#include "cria/io/hugging_face.h"

#include "io/expect_error.h"
#include "support/places.h"
#include "support/temporary_directory.h"

namespace cria {
namespace {

TEST(PiecewiseReward, TakesSafetyBelowFifteenPercent) {
  const auto sigma = [](double s) { return 1 / (1 + std::exp(-s)); };
  EXPECT_EQ(piecewise_reward(2.0f, 1.0f, false), 2.0f);
  EXPECT_EQ(piecewise_reward(2.0f, -1.7f, false), 2.0f);
  EXPECT_EQ(piecewise_reward(2.0f, -1.8f, false), -1.8f);
  EXPECT_EQ(piecewise_reward(-9.0f, -1.8f, false), -1.8f);
  // Prompts tagged safety, whatever the score.
  EXPECT_EQ(piecewise_reward(2.0f, 1.0f, true), 1.0f);
  EXPECT_EQ(piecewise_reward(2.0f, -3.0f, true), -3.0f);
  // The floats on both sides of the boundary.
  float above = static_cast<float>(std::log(0.15 / 0.85));
  while (sigma(above) < 0.15) above = std::nextafter(above, 1.0f);
  while (sigma(std::nextafter(above, -9.0f)) >= 0.15) above = std::nextafter(above, -9.0f);
  const float below = std::nextafter(above, -9.0f);
  EXPECT_EQ(piecewise_reward(5.0f, above, false), 5.0f);
  EXPECT_EQ(piecewise_reward(5.0f, below, false), below);
  // Far out sigma is 0 or 1 in floats; the scores still decide.
  EXPECT_EQ(piecewise_reward(5.0f, -500.0f, false), -500.0f);
  EXPECT_EQ(piecewise_reward(5.0f, 500.0f, false), 5.0f);
}

class RewardModelsTest : public ::testing::Test {
 protected:
  RewardModelsTest()
      : backend_(make_backend("cpu")),
        tokenizer_(testing::source_path("tests/golden/tokenizer.model")) {}

  ModelConfig config(HeadKind head = HeadKind::score) const {
    return {.vocab_size = tokenizer_.vocab_size(),
            .hidden_size = 32,
            .intermediate_size = 64,
            .num_hidden_layers = 2,
            .num_attention_heads = 4,
            .num_key_value_heads = 2,
            .head_dim = 8,
            .max_position_embeddings = 256,
            .initializer_range = 0.3f,
            .pad_token_id = head == HeadKind::score ? 0 : -1,
            .head = head};
  }

  std::string write(const std::string& name, const ModelConfig& config, uint64_t seed,
                    bool with_tokenizer = true) const {
    const ParameterLayout layout(config);
    ParameterSet weights(layout, DType::f32);
    Arena arena(backend_->memory());
    weights.reserve(arena, "parameters");
    arena.allocate();
    initialize_weights(weights, *backend_, seed);
    const std::string path = directory_ / name;
    std::filesystem::create_directory(path);
    write_model(path, config, weights, *backend_, DType::f32);
    if (with_tokenizer) write_tokenizer(path, tokenizer_.model_bytes());
    return path;
  }

  struct Loaded {
    Loaded(const RewardModelOptions& options, Backend& backend, const Tokenizer& tokenizer)
        : models(options, backend, tokenizer), arena(backend.memory()) {
      models.reserve(arena);
      arena.allocate();
      models.load();
    }
    RewardModels models;
    Arena arena;
  };
  std::unique_ptr<Loaded> load(const RewardModelOptions& options) const {
    return std::make_unique<Loaded>(options, *backend_, tokenizer_);
  }
  void expect_refused(const RewardModelOptions& options, const std::vector<std::string>& words) {
    expect_input_error(words, [&] { RewardModels(options, *backend_, tokenizer_); });
  }

  std::vector<Answer> answers() const {
    std::vector<Answer> all;
    for (const int length : {3, 90, 1, 256, 17, 200, 64}) {
      Answer answer;
      for (int i = 0; i < length; ++i) answer.sequence.ids.push_back((7 * i + length) % 300 + 3);
      answer.is_safety_prompt = length % 2 == 0;
      all.push_back(answer);
    }
    return all;
  }

  std::unique_ptr<Backend> backend_;
  Tokenizer tokenizer_;
  TemporaryDirectory directory_;
};

TEST_F(RewardModelsTest, TwoModelsAreCombinedPieceByPiece) {
  const std::string helpful = write("helpful", config(), 1);
  const std::string safe = write("safe", config(), 2);
  const auto alone_helpful = load({.helpfulness = helpful});
  const auto alone_safe = load({.safety = safe});
  const auto both = load({.helpfulness = helpful, .safety = safe});
  const std::vector<Answer> all = answers();
  const std::vector<AnswerScore> of_helpful = alone_helpful->models.score(all);
  const std::vector<AnswerScore> of_safe = alone_safe->models.score(all);
  const std::vector<AnswerScore> of_both = both->models.score(all);
  ASSERT_EQ(of_both.size(), all.size());
  bool differ = false;
  for (size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(of_both[i].helpfulness, of_helpful[i].combined);
    EXPECT_EQ(of_both[i].safety, of_safe[i].combined);
    EXPECT_EQ(of_both[i].combined, piecewise_reward(of_helpful[i].combined, of_safe[i].combined,
                                                    all[i].is_safety_prompt));
    EXPECT_EQ(of_helpful[i].safety, 0.0f);
    EXPECT_EQ(of_safe[i].helpfulness, 0.0f);
    differ |= of_helpful[i].combined != of_safe[i].combined;
  }
  EXPECT_TRUE(differ);
}

class RewardModelsBits : public RewardModelsTest,
                         public ::testing::WithParamInterface<const char*> {};
INSTANTIATE_TEST_SUITE_P(Precision, RewardModelsBits, ::testing::Values("fp32", "bf16"));

TEST_P(RewardModelsBits, AScoreDoesNotDependOnWhatIsScoredWithIt) {
  const auto loaded = load({.helpfulness = write("helpful", config(), 1),
                            .safety = write("safe", config(), 2),
                            .precision = GetParam(),
                            .batch_tokens = 384});
  const std::vector<Answer> all = answers();
  const std::vector<AnswerScore> together = loaded->models.score(all);
  for (size_t i = 0; i < all.size(); ++i) {
    const AnswerScore alone = loaded->models.score(std::span(&all[i], 1)).front();
    EXPECT_EQ(alone.helpfulness, together[i].helpfulness) << i;
    EXPECT_EQ(alone.safety, together[i].safety) << i;
  }
}

TEST_F(RewardModelsTest, TheChecksumTellsModelsTheirPartsAndThePrecision) {
  const std::string a = write("a", config(), 1);
  const std::string b = write("b", config(), 2);
  const auto sum = [&](const RewardModelOptions& options) {
    return RewardModels(options, *backend_, tokenizer_).checksum();
  };
  const std::vector<std::string> sums = {sum({.helpfulness = a}),
                                         sum({.helpfulness = b}),
                                         sum({.safety = a}),
                                         sum({.helpfulness = a, .safety = b}),
                                         sum({.helpfulness = b, .safety = a}),
                                         sum({.helpfulness = a, .precision = "bf16"})};
  for (size_t i = 0; i < sums.size(); ++i) {
    EXPECT_EQ(sums[i].size(), 64u);
    for (size_t j = 0; j < i; ++j) EXPECT_NE(sums[i], sums[j]) << i << " and " << j;
  }
  EXPECT_EQ(sum({.helpfulness = a}), sums[0]);
  write("a", config(), 3);  // other weights in the same place
  EXPECT_NE(sum({.helpfulness = a}), sums[0]);
}

TEST_F(RewardModelsTest, RefusesWhatCannotScoreTheseAnswers) {
  const std::string good = write("good", config(), 1);
  expect_refused({.group = "ppo"}, {"ppo.helpfulness", "ppo.safety"});
  expect_refused(
      {.helpfulness = good, .safety = write("chat", config(HeadKind::language), 1), .group = "ppo"},
      {"ppo.safety", "chat", "score head"});
  ModelConfig small = config();
  small.vocab_size = 100;
  expect_refused({.helpfulness = write("small", small, 1), .group = "rejection"},
                 {"rejection.helpfulness", "vocabulary of 100"});
  expect_refused({.helpfulness = testing::source_path("tests/golden/models/reward")},
                 {"helpfulness", "vocabulary of 320"});  // has no tokenizer
  const std::string other = write("other", config(), 1);
  std::string bytes = read_file(other + "/tokenizer.model");
  bytes.replace(bytes.find("\xe2\x96\x81the"), 6, "\xe2\x96\x81teh");  // another piece
  write_tokenizer(other, bytes);
  expect_refused({.safety = other}, {"safety", "is not the tokenizer in use"});
  EXPECT_NO_THROW(
      RewardModels({.helpfulness = write("bare", config(), 1, false)}, *backend_, tokenizer_));
}

TEST_F(RewardModelsTest, TheLongestAnswerIsWhatAllModelsTake) {
  ModelConfig shorter = config();
  shorter.max_position_embeddings = 64;
  const std::string a = write("a", config(), 1);
  const std::string b = write("b", shorter, 1);
  EXPECT_EQ(load({.helpfulness = a})->models.max_length(), 256);
  EXPECT_EQ(load({.helpfulness = a, .batch_tokens = 128})->models.max_length(), 128);
  const auto both = load({.helpfulness = a, .safety = b});
  EXPECT_EQ(both->models.max_length(), 64);
  const std::vector<Answer> all = answers();
  EXPECT_THROW(both->models.score(std::span(&all[1], 1)), Error);  // 90 tokens
}

}  // namespace
}  // namespace cria
