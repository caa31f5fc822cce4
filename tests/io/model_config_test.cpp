#include <fstream>
#include <nlohmann/json.hpp>

#include "cria/io/hugging_face.h"

#include "expect_error.h"
#include "small_model.h"
#include "support/temporary_directory.h"

namespace cria {
namespace {

using nlohmann::json;

class ModelConfigTest : public ::testing::Test {
 protected:
  ModelConfig read(const json& config) { return read_text(config.dump()); }

  ModelConfig read_text(const std::string& text) {
    std::ofstream(directory_ / "config.json") << text;
    return read_model_config(directory_.path());
  }

  // The base config with some keys changed; a null in `changes` stays a null.
  json with(const json& changes) const {
    json config = base_;
    for (const auto& [key, value] : changes.items()) config[key] = value;
    return config;
  }

  void expect_refused(const json& changes, const std::string& key) {
    SCOPED_TRACE(changes.dump());
    expect_input_error({"config.json", key}, [&] { read(with(changes)); });
  }

  TemporaryDirectory directory_;
  const json base_ = {{"architectures", {"LlamaForCausalLM"}},
                      {"model_type", "llama"},
                      {"vocab_size", 320},
                      {"hidden_size", 32},
                      {"intermediate_size", 88},
                      {"num_hidden_layers", 2},
                      {"num_attention_heads", 4}};
};

TEST_F(ModelConfigTest, AbsentKeysHaveLlamaConfigsDefaults) {
  const ModelConfig expected = {.vocab_size = 320,
                                .hidden_size = 32,
                                .intermediate_size = 88,
                                .num_hidden_layers = 2,
                                .num_attention_heads = 4,
                                .num_key_value_heads = 4,
                                .head_dim = 8,
                                .max_position_embeddings = 2048,
                                .rms_norm_eps = 1e-6f,
                                .rope_theta = 10000,
                                .tie_word_embeddings = false,
                                .initializer_range = 0.02f,
                                .bos_token_id = 1,
                                .eos_token_id = 2,
                                .pad_token_id = -1,
                                .head = HeadKind::language};
  EXPECT_EQ(read(base_), expected);
  json nulls = base_;
  for (const char* key : {"num_key_value_heads", "head_dim", "rope_scaling", "rope_parameters",
                          "sliding_window", "pad_token_id", "quantization_config"}) {
    nulls[key] = nullptr;
  }
  EXPECT_EQ(read(nulls), expected);
}

TEST_F(ModelConfigTest, ReadsEveryKey) {
  const ModelConfig config = read(with({{"num_key_value_heads", 2},
                                        {"head_dim", 6},
                                        {"max_position_embeddings", 512},
                                        {"rms_norm_eps", 1e-5},
                                        {"rope_theta", 5e5},
                                        {"tie_word_embeddings", true},
                                        {"initializer_range", 0.01},
                                        {"bos_token_id", 3},
                                        {"eos_token_id", 4},
                                        {"pad_token_id", 5}}));
  EXPECT_EQ(config.num_key_value_heads, 2);
  EXPECT_EQ(config.head_dim, 6);
  EXPECT_EQ(config.max_position_embeddings, 512);
  EXPECT_EQ(config.rms_norm_eps, 1e-5f);
  EXPECT_EQ(config.rope_theta, 5e5);
  EXPECT_TRUE(config.tie_word_embeddings);
  EXPECT_EQ(config.initializer_range, 0.01f);
  EXPECT_EQ(config.bos_token_id, 3);
  EXPECT_EQ(config.eos_token_id, 4);
  EXPECT_EQ(config.pad_token_id, 5);
}

TEST_F(ModelConfigTest, BothRopeStyles) {
  const auto theta = [&](const json& changes) { return read(with(changes)).rope_theta; };
  EXPECT_EQ(theta({{"rope_theta", 7.0}, {"rope_scaling", nullptr}}), 7.0);
  EXPECT_EQ(theta({{"rope_parameters", {{"rope_theta", 7.0}, {"rope_type", "default"}}}}), 7.0);
  EXPECT_EQ(theta({{"rope_parameters", {{"rope_theta", 7}}}}), 7.0);
  EXPECT_EQ(theta({{"rope_scaling", {{"type", "default"}}}, {"rope_theta", 7.0}}), 7.0);
  EXPECT_EQ(theta({{"rope_parameters", {{"rope_theta", 7.0}}}, {"rope_theta", 7.0}}), 7.0);
  expect_refused({{"rope_parameters", {{"rope_theta", 7.0}}}, {"rope_theta", 8.0}}, "rope_theta");
  expect_refused({{"rope_theta", "7"}}, "rope_theta");
  expect_refused({{"rope_theta", 0}}, "rope_theta");
}

TEST_F(ModelConfigTest, WhatCriaDoesNotDoIsRefusedByKey) {
  expect_refused({{"rope_scaling", {{"rope_type", "linear"}, {"factor", 2.0}}}}, "rope_scaling");
  expect_refused({{"rope_scaling", {{"type", "dynamic"}, {"factor", 2.0}}}}, "rope_scaling");
  expect_refused({{"rope_scaling", "linear"}}, "rope_scaling");
  expect_refused({{"rope_parameters", {{"rope_type", "llama3"}, {"factor", 8.0}}}},
                 "rope_parameters");
  expect_refused({{"rope_parameters", {{"factor", 8.0}}}}, "rope_parameters");
  expect_refused({{"rope_parameters", {{"full_attention", {{"rope_theta", 1.0}}}}}},
                 "rope_parameters");
  expect_refused({{"attention_bias", true}}, "attention_bias");
  expect_refused({{"mlp_bias", true}}, "mlp_bias");
  expect_refused({{"hidden_act", "gelu"}}, "hidden_act");
  expect_refused({{"attention_dropout", 0.1}}, "attention_dropout");
  expect_refused({{"partial_rotary_factor", 0.5}}, "partial_rotary_factor");
  expect_refused({{"sliding_window", 4096}}, "sliding_window");
  expect_refused({{"quantization_config", {{"bits", 4}}}}, "quantization_config");
  expect_refused({{"model_type", "mistral"}}, "model_type");
  expect_refused({{"architectures", {"LlamaModel"}}}, "architectures");
  expect_refused({{"architectures", {"MistralForCausalLM"}}}, "architectures");
  EXPECT_NO_THROW(read(with({{"pretraining_tp", 2}})));
}

TEST_F(ModelConfigTest, ImpossibleValuesAreRefusedByKey) {
  for (const char* key : {"vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
                          "num_attention_heads"}) {
    json missing = base_;
    missing.erase(key);
    expect_input_error({key, "missing"}, [&] { read(missing); });
    expect_refused({{key, 0}}, key);
    expect_refused({{key, -1}}, key);
    expect_refused({{key, 1.5}}, key);
    expect_refused({{key, "8"}}, key);
    expect_refused({{key, 1e18}}, key);
    expect_refused({{key, int64_t{1} << 40}}, key);
  }
  expect_refused({{"num_key_value_heads", 3}}, "num_key_value_heads");
  expect_refused({{"num_attention_heads", 5}}, "num_attention_heads");
  expect_refused({{"head_dim", 3}}, "head_dim");
  expect_refused({{"head_dim", 1 << 30}}, "head_dim");
  expect_refused({{"rms_norm_eps", 0}}, "rms_norm_eps");
  expect_refused({{"tie_word_embeddings", "yes"}}, "tie_word_embeddings");
  expect_refused({{"num_hidden_layers", 1'000'000}}, "num_hidden_layers");
}

TEST_F(ModelConfigTest, TokenIds) {
  EXPECT_EQ(read(with({{"eos_token_id", json::array({7})}})).eos_token_id, 7);
  EXPECT_EQ(read(with({{"bos_token_id", nullptr}})).bos_token_id, -1);
  EXPECT_EQ(read(with({{"pad_token_id", -1}})).pad_token_id, -1);
  expect_refused({{"eos_token_id", {1, 2}}}, "eos_token_id");
  expect_refused({{"eos_token_id", 320}}, "eos_token_id");
  expect_refused({{"pad_token_id", 32000}}, "pad_token_id");
  expect_refused({{"bos_token_id", "1"}}, "bos_token_id");
}

TEST_F(ModelConfigTest, HeadKinds) {
  const json classifier = {"LlamaForSequenceClassification"};
  const auto head = [&](const json& changes) { return read(with(changes)).head; };
  json no_architectures = base_;
  no_architectures.erase("architectures");
  EXPECT_EQ(read(no_architectures).head, HeadKind::language);
  EXPECT_EQ(head({{"architectures", classifier}, {"id2label", {{"0", "LABEL_0"}}}}),
            HeadKind::score);
  EXPECT_EQ(head({{"architectures", classifier}, {"num_labels", 1}}), HeadKind::score);
  expect_refused({{"architectures", classifier}}, "num_labels");
  expect_refused({{"architectures", classifier}, {"num_labels", 2}}, "num_labels");
  expect_refused({{"architectures", classifier}, {"id2label", {{"0", "a"}, {"1", "b"}}}},
                 "id2label");
}

TEST_F(ModelConfigTest, BrokenFiles) {
  expect_input_error({"config.json", "No such file"},
                     [&] { read_model_config(directory_.path()); });
  expect_input_error({"config.json", "not valid JSON"}, [&] { read_text("{"); });
  expect_input_error({"config.json"}, [&] { read_text("[]"); });
  expect_input_error({"hidden_size", "twice"},
                     [&] { read_text(R"({"hidden_size": 1, "hidden_size": 2})"); });
}

TEST_F(ModelConfigTest, WrittenConfigsReadBackTheSame) {
  const auto backend = make_backend("cpu");
  for (const HeadKind head : {HeadKind::language, HeadKind::score}) {
    ModelConfig config = small_config(head, true);
    config.rms_norm_eps = 0.1f + 0.2f;
    config.initializer_range = 1.0f / 3;
    config.rope_theta = 1e6 / 3;
    config.bos_token_id = -1;
    SmallSet weights(config);
    write_model(directory_.path(), config, weights.set, *backend, DType::f32);
    EXPECT_EQ(read_model_config(directory_.path()), config);
  }
}

}  // namespace
}  // namespace cria
