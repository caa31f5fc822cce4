#include "cria/io/config_schema.h"

#include <cmath>
#include <fstream>
#include <limits>

#include "expect_error.h"
#include "support/temporary_directory.h"

namespace cria {
namespace {

struct Options {
  std::string path;
  std::string precision = "fp32";
  bool packing = true;
  int width = 3;
  int64_t steps = 100;
  uint64_t seed = 0;
  float beta = 0.9f;
  double learning_rate = 3e-4;
  std::optional<int64_t> warmup_steps;
  std::optional<double> warmup_ratio = 0.03;
  std::vector<double> margins = {1, 2.0 / 3};
  std::vector<std::string> names;
  std::vector<DataPath> train;
  std::map<std::string, std::string> templates;
  int top = 1;

  bool operator==(const Options&) const = default;
};

class ConfigSchemaTest : public ::testing::Test {
 protected:
  static void register_keys(ConfigSchema& schema, Options& o) {
    schema.key("model.path", o.path, "the model's directory").required();
    schema.choice("training.precision", o.precision, {"fp32", "bf16"}, "numbers to compute with");
    schema.key("data.packing", o.packing, "fill rows");
    schema.key("training.width", o.width, "a width").at_least(1).at_most(8);
    schema.key("training.steps", o.steps, "optimizer steps").positive();
    schema.key("training.seed", o.seed, "random seed");
    schema.key("optimizer.beta", o.beta, "decay of the first moment").at_least(0).below(1);
    schema.key("optimizer.learning_rate", o.learning_rate, "peak learning rate").above(0);
    schema.key("optimizer.warmup_steps", o.warmup_steps, "warm-up").at_least(0);
    schema.key("optimizer.warmup_ratio", o.warmup_ratio, "warm-up as a share");
    schema.key("reward.margins", o.margins, "margins").at_least(0);
    schema.key("data.names", o.names, "names");
    schema.key("data.train", o.train, "sources").positive();
    schema.key("data.templates", o.templates, "texts by name");
    schema.key("top", o.top, "a key of no group");
  }

  void SetUp() override { register_keys(schema_, options_); }

  void read(const std::string& yaml) {
    std::ofstream(file_) << yaml;
    schema_.read_file(file_);
  }

  void expect_refused(const std::string& yaml, const std::vector<std::string>& words) {
    SCOPED_TRACE(yaml);
    expect_input_error(words, [&] { read(yaml); });
  }

  TemporaryDirectory directory_;
  std::string file_ = directory_ / "recipe.yaml";
  Options options_;
  ConfigSchema schema_;
};

TEST_F(ConfigSchemaTest, ReadsEveryType) {
  read(R"(
model: {path: models/llama}
training:
  precision: bf16
  width: 8
  steps: 9007199254740993
  seed: 18446744073709551615
data:
  packing: false
  names: [a, "b c"]
  train:
    - {path: a.jsonl, weight: 0.25}
    - path: b.jsonl
    - c.jsonl
    - {path: d.jsonl, share: 0.1}
  templates: {crime: "No: a crime.", hate: no}
optimizer: {beta: 0.95, learning_rate: 2e-5, warmup_steps: 5, warmup_ratio: null}
reward: {margins: [3, 2.5]}
top: 7
)");
  schema_.check();
  const Options expected = {
      .path = "models/llama",
      .precision = "bf16",
      .packing = false,
      .width = 8,
      .steps = 9007199254740993,
      .seed = UINT64_MAX,
      .beta = 0.95f,
      .learning_rate = 2e-5,
      .warmup_steps = 5,
      .warmup_ratio = {},
      .margins = {3, 2.5},
      .names = {"a", "b c"},
      .train = {{"a.jsonl", 0.25}, {"b.jsonl", 1}, {"c.jsonl", 1}, {"d.jsonl", 1, 0.1}},
      .templates = {{"crime", "No: a crime."}, {"hate", "no"}},
      .top = 7};
  EXPECT_EQ(options_, expected);
}

TEST_F(ConfigSchemaTest, WhatIsNotGivenKeepsItsDefault) {
  read("optimizer: {beta: 0.5}\ndata:\n");
  Options expected;
  expected.beta = 0.5f;
  EXPECT_EQ(options_, expected);
  EXPECT_TRUE(schema_.given("optimizer.beta"));
  EXPECT_FALSE(schema_.given("training.steps"));
}

TEST_F(ConfigSchemaTest, AnEmptyFileIsAllDefaults) {
  read("# nothing\n");
  EXPECT_EQ(options_, Options());
}

TEST_F(ConfigSchemaTest, UnknownKeysNameTheNearest) {
  expect_refused("optimizer:\n  learning_rat: 1\n",
                 {"recipe.yaml:2", "unknown key optimizer.learning_rat",
                  "did you mean optimizer.learning_rate?"});
  expect_refused("training:\n  learning_rate: 1\n", {"did you mean optimizer.learning_rate?"});
  expect_refused("optimiser: {beta: 1}\n", {"unknown key optimiser"});
  expect_refused("zebra: 1\n", {"unknown key zebra", "--print-config"});
}

TEST_F(ConfigSchemaTest, WrongTypesSayWhatWasExpected) {
  expect_refused("\n\ntraining: {steps: many}\n",
                 {"recipe.yaml:3", "training.steps", "a whole number", "'many'"});
  expect_refused("training: {steps: 1.5}\n", {"a whole number", "'1.5'"});
  expect_refused("training: {steps: '12'}\n", {"a whole number"});
  expect_refused("training: {steps: [1]}\n", {"a whole number", "a list"});
  expect_refused("training: {steps: }\n", {"a whole number", "nothing"});
  expect_refused("training: {seed: -1}\n", {"a whole number from 0"});
  expect_refused("training: {width: 99999999999}\n", {"training.width", "range"});
  expect_refused("optimizer: {beta: 1e99}\n", {"optimizer.beta", "range"});
  expect_refused("optimizer: {learning_rate: nan}\n", {"a number"});
  expect_refused("optimizer: {learning_rate: inf}\n", {"a number"});
  expect_refused("optimizer: {learning_rate: 1e-4x}\n", {"a number"});
  expect_refused("data: {packing: yes}\n", {"true or false", "'yes'"});
  expect_refused("data: {names: a}\n", {"a list"});
  expect_refused("data: {train: [{file: a}]}\n", {"data.train", "unknown 'file'"});
  expect_refused("data: {train: [{weight: 1}]}\n", {"'path' is missing"});
  expect_refused("data: {train: [{path: a, path: b}]}\n", {"'path' is given twice"});
  expect_refused("data: {train: [[a]]}\n", {"data.train", "a list"});
  expect_refused("data: {train: [{path: a, share: 1.5}]}\n", {"data.train", "1.5 is no share"});
  expect_refused("data: {train: [{path: a, share: -1}]}\n", {"-1 is no share"});
  expect_refused("data: {templates: [a]}\n", {"data.templates", "names with texts", "a list"});
  expect_refused("data: {templates: {a: [b]}}\n", {"data.templates", "text", "a list"});
  expect_refused("data: {templates: {a: b, a: c}}\n", {"'a' is given twice"});
  expect_refused("model: {path: {deep: 1}}\n", {"model.path", "text", "a group of keys"});
  expect_refused("model: {path: }\n", {"model.path", "text"});
  expect_refused("model: llama\n", {"model is a group of keys", "'llama'"});
  expect_refused("[1, 2]\n", {"a list"});
  expect_refused("{[a]: 1}\n", {"a key is a list"});
  expect_refused("training: {precision: fp8}\n", {"'fp8'", "one of fp32, bf16"});
}

TEST_F(ConfigSchemaTest, Bounds) {
  expect_refused("training: {width: 0}\n", {"training.width is 0", "at least 1"});
  expect_refused("training: {width: 9}\n", {"at most 8"});
  expect_refused("training: {steps: 0}\n", {"above 0"});
  expect_refused("optimizer: {beta: 1}\n", {"below 1"});
  expect_refused("optimizer: {warmup_steps: -1}\n", {"at least 0"});
  expect_refused("reward: {margins: [1, -1]}\n", {"reward.margins is -1"});
  expect_refused("data: {train: [{path: a, weight: 0}]}\n", {"data.train is 0", "above 0"});
  read("training: {width: 1}\noptimizer: {beta: 0}\n");
  read("training: {width: 8}\n");
}

TEST_F(ConfigSchemaTest, DuplicateKeysAndBrokenFiles) {
  expect_refused("training: {steps: 1}\ntop: 1\ntraining: {width: 1}\n",
                 {"recipe.yaml:3", "training is given twice"});
  expect_refused("training:\n  steps: 1\n  steps: 2\n", {":3", "training.steps is given twice"});
  expect_refused("training: {steps: 1\n", {"recipe.yaml:", "not valid YAML"});
  expect_refused("top: 1\n---\ntop: 2\n", {"several YAML documents"});
  expect_refused("training:\n\t- x", {"not valid YAML"});
  expect_input_error({"absent.yaml", "No such file"},
                     [&] { schema_.read_file(directory_ / "absent.yaml"); });
}

TEST_F(ConfigSchemaTest, ARefusedValueLeavesTheField) {
  EXPECT_THROW(read("training: {width: 99}\n"), Error);
  EXPECT_THROW(read("reward: {margins: [5, -1]}\n"), Error);
  EXPECT_EQ(options_, Options());
}

TEST_F(ConfigSchemaTest, RequiredKeys) {
  expect_input_error({"model.path is missing", "the model's directory"}, [&] { schema_.check(); });
  read("top: 2\n");
  expect_input_error({"recipe.yaml", "model.path"}, [&] { schema_.check(); });
  schema_.set("model.path=x");
  schema_.check();
}

TEST_F(ConfigSchemaTest, SetOverridesTheFile) {
  read("training: {steps: 5}\n");
  schema_.set("training.steps=7");
  schema_.set("data.train=[{path: x=y, weight: 2}]");
  schema_.set("optimizer.warmup_ratio=");
  EXPECT_EQ(options_.steps, 7);
  EXPECT_EQ(options_.train, (std::vector<DataPath>{{"x=y", 2}}));
  EXPECT_FALSE(options_.warmup_ratio);
  const auto refuse = [&](const std::string& text, const std::vector<std::string>& words) {
    expect_input_error(words, [&] { schema_.set(text); });
  };
  refuse("training.steps", {"--set training.steps", "no '='"});
  refuse("training.stepz=1", {"unknown key", "did you mean training.steps?"});
  refuse("training.steps=x", {"--set training.steps=x", "a whole number"});
  refuse("training={steps: 1}", {"training is a group"});
  refuse("training.steps=[", {"not valid YAML"});
}

TEST_F(ConfigSchemaTest, PrintReadsBackTheSame) {
  options_.path = "plain/path-1.txt";
  options_.beta = 0.1f + 0.2f;
  options_.learning_rate = std::nextafter(1e-5, 1.0);
  options_.steps = INT64_MAX;
  options_.seed = UINT64_MAX;
  options_.warmup_ratio = std::numeric_limits<double>::denorm_min();
  options_.margins = {1.0 / 3, 1e300, 0};
  options_.names = {"",
                    " ",
                    "null",
                    "true",
                    "12",
                    "a: b",
                    "a # b",
                    "- x",
                    "line\nbreak",
                    "tab\t",
                    "\"quoted\" \\ back",
                    "{x}",
                    "~",
                    "日本",
                    "*a",
                    "'",
                    "\x01\x7f",
                    "Null",
                    "1e5"};
  options_.train = {{"a b.jsonl", 0.1}, {"c: [d], {e}.jsonl", 1e-7}, {"f", 2, 1.0 / 3}};
  options_.templates = {{"a b", "\"c\": {d}, e"}, {"true", ""}};
  schema_.set("model.path=" + options_.path);
  const std::string printed = schema_.print();

  Options copy;
  copy.train = {{"other", 3}};
  copy.templates = {{"other", "text"}};
  ConfigSchema schema;
  register_keys(schema, copy);
  std::ofstream(file_) << printed;
  schema.read_file(file_);
  EXPECT_EQ(copy, options_) << printed;
  EXPECT_EQ(schema.print(), printed);
}

TEST_F(ConfigSchemaTest, PrintShowsGroupsMeaningsAndChoices) {
  const std::string printed = schema_.print();
  EXPECT_TRUE(printed.starts_with("model:\n  # path:")) << printed;
  EXPECT_NE(printed.find("# the model's directory (required)\n"), std::string::npos);
  EXPECT_NE(printed.find("  precision: fp32 "), std::string::npos);
  EXPECT_NE(printed.find("# numbers to compute with: fp32, bf16\n"), std::string::npos);
  EXPECT_NE(printed.find("  learning_rate: 0.0003 "), std::string::npos);
  EXPECT_NE(printed.find("\ntop: 1 "), std::string::npos);
  EXPECT_EQ(printed.find("training:"), printed.rfind("training:"));
}

}  // namespace
}  // namespace cria
