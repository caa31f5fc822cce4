// Whatever is wrong with a call, a config or a file: one line that says what and where, exit code
// 2, and what was there before is as it was.
#include <algorithm>
#include <filesystem>

#include <gtest/gtest.h>

#include "runs/small_run.h"

namespace cria::testing {

namespace {

namespace fs = std::filesystem;

void expect_refused(const std::vector<std::string>& words, const std::string& part) {
  const ProcessResult result = run_cria(words);
  EXPECT_EQ(result.exit_code, 2) << result.errors;
  EXPECT_EQ(result.errors.rfind("error: ", 0), 0u) << result.errors;
  EXPECT_EQ(std::count(result.errors.begin(), result.errors.end(), '\n'), 1) << result.errors;
  EXPECT_NE(result.errors.find(part), std::string::npos)
      << "'" << part << "' is not in: " << result.errors;
}

TEST(BadInput, Calls) {
  expect_refused({}, "subcommand");
  expect_refused({"fly"}, "fly");
  expect_refused({"sft", "--fast"}, "--fast");
  expect_refused({"sft", "/nowhere.yaml"}, "/nowhere.yaml");
  expect_refused({"score", "--model", "/nowhere"}, "required");
}

TEST(BadInput, Configs) {
  const SmallRun small(Trainer::sft);
  run_cria_well(small.command("run", {"training.stop_at_step=4"}));
  const auto before = read_tree(small.path("run"));
  struct Case {
    const char* setting;
    const char* part;
  };
  const Case cases[] = {
      {"training.sed=3", "did you mean"},
      {"optimiser.beta1=0.9", "optimizer"},
      {"training.seed=many", "training.seed"},
      {"training.max_steps=0", "training.max_steps"},
      {"training.num_train_epochs=2", "both given"},
      {"training.max_steps=null", "neither"},
      {"training.train_batch_size=-4", "training.train_batch_size"},
      {"training.micro_batch_tokens=64", "micro_batch_tokens"},
      {"training.precision=fp8", "fp32"},
      {"training.gradient_dtype=bf16", "training.gradient_dtype"},
      {"training.device=tpu", "tpu"},
      {"training.eval_steps=5", "data.eval"},
      {"optimizer.learning_rate=-1", "optimizer.learning_rate"},
      {"optimizer.warmup_ratio=0.5", "both given"},
      {"optimizer.min_warmup_steps=5", "no warmup_ratio"},
      {"data.epoch=twice", "first_exhausted"},
      {"data.max_length=100000", "max_position_embeddings"},
      {"data.train=[]", "data.train"},
      {"data.train=[{path: /nowhere.jsonl}]", "/nowhere.jsonl"},
      {"model.path=/nowhere", "/nowhere"},
      {"tokenizer.path=/nowhere.model", "/nowhere.model"},
      {"checkpoint.resume=/nowhere", "/nowhere"},
  };
  for (const Case& c : cases) expect_refused(small.command("run", {c.setting}), c.part);
  EXPECT_EQ(before, read_tree(small.path("run")));
}

TEST(BadInput, NcclWithoutAGpu) {
  const SmallRun small(Trainer::sft);
  const std::vector<std::string> settings = {"training.device=cpu", "training.reduction=nccl"};
  expect_refused(
      small.command("run", settings),
      "error: training.reduction: nccl: it sums in the memory of GPUs, and the device is "
      "cpu; ");
  EXPECT_FALSE(fs::exists(small.path("run")));
  expect_refused(small.command("run", {"training.reduction=mpi"}), "auto, nccl");
}

TEST(BadInput, CudnnWithoutAGpu) {
  const SmallRun small(Trainer::sft);
  for (const std::string device : {"cpu", "emulated"}) {
    expect_refused(small.command("run", {"training.device=" + device, "training.attention=cudnn"}),
                   "error: training.attention: cudnn: it runs on GPUs, and the device is " +
                       device + "; set it to native");
  }
  EXPECT_FALSE(fs::exists(small.path("run")));
  expect_refused(small.command("run", {"training.attention=flash"}), "native, cudnn");
}

TEST(BadInput, ConfigFiles) {
  const TemporaryDirectory directory;
  const std::string path = directory / "recipe.yaml";
  const auto expect_file_refused = [&](const std::string& yaml, const std::string& part) {
    write_bytes(path, yaml);
    expect_refused({"pretrain", path}, part);
  };
  expect_file_refused("training: {seed: [1, 2]}", "training.seed");
  expect_file_refused("training:\n  seed: 1\n  seed: 2\n", path + ":3");
  expect_file_refused("training: {seed: 1", path);
  expect_file_refused("training: 4", "training");
  expect_file_refused("", "model.path");
}

TEST(BadInput, DataFiles) {
  const SmallRun small(Trainer::sft);
  const auto expect_data_refused = [&](const std::string& bytes, const std::string& part) {
    write_bytes(small.path("bad.jsonl"), bytes);
    expect_refused(small.command("bad", {"data.train=[{path: " + small.path("bad.jsonl") + "}]"}),
                   part);
    EXPECT_FALSE(fs::exists(small.path("bad")));
  };
  const std::string good = R"({"prompt": "a", "completion": "b"})"
                           "\n";
  expect_data_refused("", "bad.jsonl");
  expect_data_refused(good + "{\"prompt\": \"a\", \"completion\"\n", "bad.jsonl:2");
  expect_data_refused(good + good +
                          R"({"prompt": "a", "completion": 4})"
                          "\n",
                      "bad.jsonl:3");
  expect_data_refused(good + R"({"prompt": "a"})"
                             "\n",
                      "bad.jsonl:2");
  expect_data_refused(R"({"messages": [{"role": "assistant", "content": "b"}]})"
                      "\n",
                      "bad.jsonl:1");
  expect_data_refused(R"({"input_ids": [1, 9999], "labels": [1, 9999]})"
                      "\n",
                      "bad.jsonl:1");
  expect_data_refused(good + "\xff\xfe\n", "bad.jsonl:2");
}

TEST(BadInput, Models) {
  const SmallRun small(Trainer::sft);
  const std::string model = small.path("model");
  const auto fresh = [&] {
    fs::remove_all(model);
    fs::copy(golden("models/gqa_untied"), model);
  };
  const auto expect_model_refused = [&](const std::string& part) {
    expect_refused(small.command("bad", {"model.path=" + model}), part);
    EXPECT_FALSE(fs::exists(small.path("bad")));
  };
  fresh();
  fs::resize_file(model + "/model.safetensors", 1000);
  expect_model_refused("model.safetensors");
  fresh();
  fs::remove(model + "/model.safetensors");
  expect_model_refused("model.safetensors");
  fresh();
  std::string config = read_bytes(model + "/config.json");
  const auto replace = [&](const std::string& old, const std::string& now) {
    std::string text = config;
    text.replace(text.find(old), old.size(), now);
    write_bytes(model + "/config.json", text);
  };
  replace("\"attention_bias\": false", "\"attention_bias\": true");
  expect_model_refused("attention_bias");
  replace("\"hidden_size\": 32", "\"hidden_size\": 31");
  expect_model_refused("instead of [512, 31]");
  replace("\"num_key_value_heads\": 2", "\"num_key_value_heads\": 3");
  expect_model_refused("num_key_value_heads");
  replace("\"vocab_size\": 512", "\"vocab_size\": 100");
  expect_model_refused("tokenizer.path");
  replace("{", "{{");
  expect_model_refused("config.json");
}

TEST(BadInput, TooLargeForTheMemory) {
  const SmallRun small(Trainer::sft);
  const std::string model = small.path("model");
  fs::copy(golden("models/gqa_untied"), model);
  std::string config = read_bytes(model + "/config.json");
  config.replace(config.find("\"hidden_size\": 32"), 17, "\"hidden_size\": 99999999");
  write_bytes(model + "/config.json", config);
  const ProcessResult result = run_cria(small.command("bad", {"model.path=" + model}));
  EXPECT_EQ(result.exit_code, 2) << result.errors;
  EXPECT_NE(result.errors.find("needs"), std::string::npos) << result.errors;
}

TEST(BadInput, LossThatIsNoNumberStopsTheRun) {
  const SmallRun small(Trainer::sft);
  const ProcessResult result =
      run_cria(small.command("run", {"optimizer.learning_rate=1e30", "optimizer.warmup_steps=0",
                                     "checkpoint.save_steps=1", "training.max_steps=50"}));
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.errors.find("step "), std::string::npos) << result.errors;
  EXPECT_NE(result.errors.find("data cursor"), std::string::npos) << result.errors;
  EXPECT_FALSE(fs::exists(small.path("run/final")));
}

TEST(DiskFull, LastGoodCheckpointIsIntact) {
  const SmallRun small(Trainer::sft);
  run_cria_well(small.command("whole"));
  run_cria_well(small.command("run", {"training.stop_at_step=4"}));
  const auto before = read_tree(small.path("run/checkpoint-4"));
  const size_t largest = before.at("optimizer.safetensors").size();
  // Room for all files but the largest.
  const ProcessResult result = run_cria(small.command("run"), largest - 100);
  EXPECT_EQ(result.exit_code, 1) << result.errors;
  EXPECT_NE(result.errors.find("optimizer.safetensors"), std::string::npos) << result.errors;
  EXPECT_NE(result.errors.find("File too large"), std::string::npos) << result.errors;
  EXPECT_EQ(before, read_tree(small.path("run/checkpoint-4")));
  EXPECT_FALSE(fs::exists(small.path("run/checkpoint-8")));
  // With room again the run goes on as if nothing had happened.
  run_cria_well(small.command("run"));
  expect_same_run(small.path("whole"), small.path("run"), 12);
}

TEST(DiskFull, OutputThatCannotTakeALine) {
  const TemporaryDirectory directory;
  write_bytes(directory / "text.jsonl", R"({"text": "one two three"})"
                                        "\n");
  const ProcessResult result = run_cria({"score", "--model", golden("models/gqa_untied"), "--data",
                                         directory / "text.jsonl", "--output", "/dev/full"});
  EXPECT_NE(result.exit_code, 0);
  EXPECT_EQ(result.errors.rfind("error: ", 0), 0u) << result.errors;
  EXPECT_NE(result.errors.find("/dev/full"), std::string::npos) << result.errors;
}

}  // namespace

}  // namespace cria::testing
