#include "cria/io/hugging_face.h"

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "cria/io/safetensors.h"

#include "expect_error.h"
#include "small_model.h"
#include "support/places.h"
#include "support/temporary_directory.h"

namespace cria {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class HuggingFaceTest : public ::testing::Test {
 protected:
  void write(const SmallSet& source, DType storage = DType::f32,
             size_t max_shard_bytes = kMaxShardBytes) {
    write_model(directory_.path(), source.layout.config(), source.set, *backend_, storage,
                max_shard_bytes);
  }

  bool read(SmallSet& destination, MissingHead missing_head = MissingHead::refuse) {
    return read_weights(directory_.path(), destination.set, *backend_, missing_head);
  }

  void expect_refused(const ModelConfig& config, const std::vector<std::string>& words,
                      MissingHead missing_head = MissingHead::refuse) {
    SmallSet destination(config);
    const auto before = destination.bytes();
    expect_input_error(words, [&] { read(destination, missing_head); });
    EXPECT_EQ(destination.bytes(), before);
  }

  // Tensors of zeros, in one file.
  void write_file(const std::string& name, const std::vector<SafetensorsEntry>& entries) {
    SafetensorsWriter writer(directory_ / name, entries);
    for (const SafetensorsEntry& entry : entries) {
      const std::vector<std::byte> zeros(entry.bytes());
      writer.write(zeros.data(), zeros.size());
    }
    writer.finish();
  }

  static std::vector<SafetensorsEntry> entries_of(const SmallSet& source) {
    std::vector<SafetensorsEntry> entries;
    for (const ParameterBlock& block : source.layout.blocks()) {
      for (const ParameterTensor& tensor : block.tensors) {
        entries.push_back({tensor.name, DType::f32, tensor.shape});
      }
    }
    return entries;
  }

  TemporaryDirectory directory_;
  std::unique_ptr<Backend> backend_ = make_backend("cpu");
};

TEST_F(HuggingFaceTest, RoundTripsBitForBit) {
  for (const HeadKind head : {HeadKind::language, HeadKind::score}) {
    for (const bool tied : {false, true}) {
      const ModelConfig config = small_config(head, tied);
      SmallSet source(config), destination(config);
      source.fill(0.1f);
      write(source);
      EXPECT_TRUE(read(destination));
      EXPECT_EQ(destination.bytes(), source.bytes());
    }
  }
}

TEST_F(HuggingFaceTest, ShardsHoldTheSame) {
  SmallSet source(small_config()), destination(small_config());
  source.fill(0.1f);
  write(source, DType::f32, 700);
  EXPECT_FALSE(fs::exists(directory_ / "model.safetensors"));
  EXPECT_TRUE(read(destination));
  EXPECT_EQ(destination.bytes(), source.bytes());

  const json index = json::parse(read_file(directory_ / "model.safetensors.index.json"));
  EXPECT_EQ(index["metadata"]["total_size"], 4 * source.layout.parameter_count());
  const std::string first = index["weight_map"]["model.embed_tokens.weight"];
  EXPECT_TRUE(first.starts_with("model-00001-of-000")) << first;
  for (const auto& entry : fs::directory_iterator(directory_.path())) {
    if (entry.path().extension() != ".safetensors") continue;
    size_t bytes = 0;
    const SafetensorsFile shard(entry.path());
    for (const SafetensorsTensor& tensor : shard.tensors()) bytes += tensor.bytes;
    EXPECT_LE(bytes, 700u) << entry.path();
  }
}

TEST_F(HuggingFaceTest, StoresAndReadsBf16) {
  SmallSet source(small_config()), as_f32(small_config()), as_bf16(small_config(), DType::bf16);
  source.fill(0.1f);
  write(source, DType::bf16);
  EXPECT_TRUE(read(as_f32));
  EXPECT_TRUE(read(as_bf16));
  const auto original = source.tensors();
  for (size_t t = 0; t < original.size(); ++t) {
    for (int64_t i = 0; i < original[t].size(); ++i) {
      const bf16 rounded(original[t].as<float>()[i]);
      EXPECT_EQ(as_bf16.tensors()[t].as<bf16>()[i].bits, rounded.bits);
      EXPECT_EQ(as_f32.tensors()[t].as<float>()[i], static_cast<float>(rounded));
    }
  }
  // bf16 weights widen exactly, so writing them as f32 and reading them back changes nothing.
  SmallSet again(small_config(), DType::bf16);
  write(as_bf16, DType::f32);
  EXPECT_TRUE(read(again));
  EXPECT_EQ(again.bytes(), as_bf16.bytes());
}

TEST_F(HuggingFaceTest, TensorsLargerThanOnePieceArriveWhole) {
  ModelConfig config = small_config(HeadKind::language, true);
  config.vocab_size = 600'000;  // 4.8M elements, one piece is 4M
  SmallSet source(config), destination(config, DType::bf16);
  source.fill(0);
  write(source);
  EXPECT_TRUE(read(destination));
  for (int64_t i = 0; i < 8 * config.vocab_size; i += 997) {
    EXPECT_EQ(destination.set.embedding().as<bf16>()[i].bits,
              bf16(source.set.embedding().as<float>()[i]).bits);
  }
}

TEST_F(HuggingFaceTest, WritesTheSameBytesTwice) {
  SmallSet source(small_config());
  source.fill(0.1f);
  write(source);
  const std::string config = read_file(directory_ / "config.json");
  const std::string weights = read_file(directory_ / "model.safetensors");
  write(source);
  EXPECT_EQ(read_file(directory_ / "config.json"), config);
  EXPECT_EQ(read_file(directory_ / "model.safetensors"), weights);
}

TEST_F(HuggingFaceTest, MissingSurplusAndMisshapenTensorsAreListed) {
  SmallSet source(small_config());
  source.fill(0.1f);
  write(source);
  ModelConfig config = small_config();
  config.num_hidden_layers = 3;
  expect_refused(config,
                 {"tensors are missing", "model.layers.2.input_layernorm.weight", "and 4 more"});
  config.num_hidden_layers = 1;
  expect_refused(config, {"tensors that the model does not have", "\"model.layers.1."});
  config = small_config();
  config.vocab_size = 21;
  expect_refused(config, {"model.embed_tokens.weight [20, 8] instead of [21, 8]", "lm_head"});
  fs::remove(directory_ / "model.safetensors");
  expect_refused(small_config(), {"neither model.safetensors nor"});
}

TEST_F(HuggingFaceTest, OldRotaryBuffersAreTolerated) {
  SmallSet source(small_config());
  auto entries = entries_of(source);
  entries.push_back({"model.layers.0.self_attn.rotary_emb.inv_freq", DType::f32, {1}});
  write_file("model.safetensors", entries);
  EXPECT_TRUE(read(source));
}

TEST_F(HuggingFaceTest, ATiedModelMayCarryItsHeadWhenItIsTheEmbedding) {
  const ModelConfig tied = small_config(HeadKind::language, true);
  SmallSet untied(small_config()), destination(tied);
  untied.fill(0.1f);
  write(untied);
  expect_refused(tied, {"tie_word_embeddings", "lm_head.weight differs"});
  std::memcpy(untied.set.language_head().data, untied.set.embedding().data,
              untied.set.embedding().bytes());
  write(untied);
  EXPECT_TRUE(read(destination));
  EXPECT_EQ(std::memcmp(destination.set.embedding().data, untied.set.embedding().data,
                        untied.set.embedding().bytes()),
            0);
}

TEST_F(HuggingFaceTest, ARewardModelStartsFromALanguageModel) {
  for (const bool tied : {false, true}) {
    SmallSet language(small_config(HeadKind::language, tied));
    language.fill(0.1f);
    write(language);
    const ModelConfig config = small_config(HeadKind::score, tied);
    expect_refused(config, {"tensors are missing", "score.weight"});
    SmallSet reward(config);
    reward.fill(7.0f);
    const std::vector<float> head(reward.set.score_head().as<float>(),
                                  reward.set.score_head().as<float>() + 8);
    EXPECT_FALSE(read(reward, MissingHead::allow));
    EXPECT_EQ(std::memcmp(reward.set.score_head().data, head.data(), 32), 0);
    EXPECT_EQ(std::memcmp(reward.set.final_norm().data, language.set.final_norm().data, 32), 0);

    // Another reward model brings its head, also when it need not.
    write(reward);
    SmallSet value(config);
    EXPECT_TRUE(read(value, MissingHead::allow));
    EXPECT_EQ(value.bytes(), reward.bytes());
    // Nothing but the head may be missing.
    ModelConfig deeper = config;
    deeper.num_hidden_layers = 3;
    expect_refused(deeper, {"model.layers.2"}, MissingHead::allow);
  }
}

TEST_F(HuggingFaceTest, ShardIndexIsNotTrusted) {
  SmallSet source(small_config());
  const auto entries = entries_of(source);
  write_file("a.safetensors", {entries.begin(), entries.begin() + 3});
  write_file("b.safetensors", {entries.begin() + 3, entries.end()});
  const auto write_index = [&](const json& index) {
    std::ofstream(directory_ / "model.safetensors.index.json") << index;
  };
  json map;
  for (size_t i = 0; i < entries.size(); ++i) {
    map[entries[i].name] = i < 3 ? "a.safetensors" : "b.safetensors";
  }
  write_index({{"weight_map", map}});
  EXPECT_TRUE(read(source));

  const auto expect = [&](const std::string& shard, const std::vector<std::string>& words) {
    SCOPED_TRACE(shard);
    json changed = map;
    changed[entries[0].name] = shard;
    write_index({{"weight_map", changed}});
    expect_refused(small_config(), words);
  };
  expect("../a.safetensors", {"\"../a.safetensors\" is outside the directory"});
  expect("x/../../a.safetensors", {"outside the directory"});
  expect("/etc/passwd", {"outside the directory"});
  expect("", {"outside the directory"});
  expect("absent.safetensors", {"absent.safetensors", "No such file"});
  fs::copy(directory_ / "a.safetensors", directory_ / "c.safetensors");
  expect("c.safetensors", {"is in another shard too"});
  json more = map;
  more["extra"] = "a.safetensors";
  write_index({{"weight_map", more}});
  expect_refused(small_config(), {"tensor \"extra\" is not in \"a.safetensors\""});
  write_index({{"weight_map", {{"a", 1}}}});
  expect_refused(small_config(), {"\"a\" has no file name"});
  write_index(json::array());
  expect_refused(small_config(), {"no weight_map"});
  std::ofstream(directory_ / "model.safetensors.index.json") << "{";
  expect_refused(small_config(), {"index.json", "not valid JSON"});
}

TEST_F(HuggingFaceTest, WritesTheTokenizersFiles) {
  const std::string model = read_file(testing::source_path("tests/golden/tokenizer.model"));
  write_tokenizer(directory_.path(), model);
  EXPECT_EQ(read_file(directory_ / "tokenizer.model"), model);
  const json config = json::parse(read_file(directory_ / "tokenizer_config.json"));
  EXPECT_EQ(config["bos_token"], "<s>");
  EXPECT_EQ(config["tokenizer_class"], "PreTrainedTokenizerFast");
  EXPECT_FALSE(config.contains("pad_token"));
  const json tokenizer = json::parse(read_file(directory_ / "tokenizer.json"));
  EXPECT_EQ(tokenizer["model"]["vocab"].size(), 512u);
  EXPECT_EQ(tokenizer["model"]["vocab"]["<0x0A>"], 13);
  EXPECT_EQ(tokenizer["added_tokens"].size(), 3u);
  EXPECT_FALSE(tokenizer["model"]["merges"].empty());
}

TEST_F(HuggingFaceTest, TokenizersOfAnotherKindAreRefused) {
  const std::string model = read_file(testing::source_path("tests/golden/tokenizer.model"));
  const auto refuse = [&](const std::string& bytes, const std::string& word) {
    expect_input_error({"tokenizer.model", word},
                       [&] { write_tokenizer(directory_.path(), bytes); });
  };
  refuse("", "no pieces");
  refuse("not a model", "is no SentencePiece model");
  // Later fields of a protobuf message win, so appending changes single settings.
  refuse(model + std::string("\x12\x02\x18\x01", 4), "not bpe");           // trainer.model_type
  refuse(model + std::string("\x1a\x02\x20\x01", 4), "extra spaces");      // normalizer
  refuse(model + std::string("\x1a\x03\x12\x01x", 5), "normalises text");  // its charsmap
  refuse(model + std::string("\x0a\x05\x0a\x01z\x18\x04", 7), "user-defined");
  for (size_t size = 1; size < model.size(); size += 97) {
    try {
      write_tokenizer(directory_.path(), model.substr(0, size));
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), Error::Kind::input);
    }
  }
}

}  // namespace
}  // namespace cria
