// The fine-tuning run of tests/golden/sft against the same run in PyTorch.
#include <cmath>
#include <fstream>

#include <gtest/gtest.h>

#include "cria/io/safetensors.h"

#include "runs/run_cria.h"
#include "support/temporary_directory.h"

namespace cria::testing {

namespace {

TEST(GoldenSft, LossGradientNormAndLogprobs) {
  const auto run = nlohmann::json::parse(read_bytes(golden("sft/run.json")));
  const auto& settings = run["settings"];
  const TemporaryDirectory directory;
  const auto set = [&](const std::string& key, const std::string& name) {
    return key + "=" + settings[name].dump();
  };
  std::vector<std::string> words = {"sft"};
  for (const std::string& setting :
       {"model.path=" + golden("models/" + settings["model"].get<std::string>()),
        "tokenizer.path=" + golden("tokenizer.model"),
        "data.train=[{path: " + golden("sft/train.jsonl") + "}]", std::string("data.shuffle=false"),
        std::string("data.packing=false"), std::string("data.max_length=256"),
        set("training.train_batch_size", "train_batch_size"),
        set("training.max_steps", "max_steps"), "training.output_dir=" + (directory / "run"),
        set("optimizer.learning_rate", "learning_rate"),
        set("optimizer.warmup_steps", "warmup_steps"), set("optimizer.final_ratio", "final_ratio"),
        set("optimizer.beta1", "beta1"), set("optimizer.beta2", "beta2"),
        set("optimizer.epsilon", "epsilon"), set("optimizer.weight_decay", "weight_decay"),
        set("optimizer.max_grad_norm", "max_grad_norm"), std::string("logging.logging_steps=1")}) {
    words.push_back("--set");
    words.push_back(setting);
  }
  run_cria_well(words);

  const auto metrics = read_metrics(directory / "run");
  ASSERT_EQ(metrics.size(), run["steps"].size());
  for (size_t i = 0; i < metrics.size(); ++i) {
    for (const char* figure : {"loss", "grad_norm", "learning_rate"}) {
      const double expected = run["steps"][i][figure];
      EXPECT_LE(std::abs(metrics[i][figure].get<double>() - expected), 1e-4 * std::abs(expected))
          << figure << " at step " << i + 1;
    }
  }

  // Final log-probabilities of sequences that were not trained on.
  const auto held_out = nlohmann::json::parse(read_bytes(golden("sft/held_out.json")));
  std::ofstream lines(directory / "held_out.jsonl");
  for (const auto& ids : held_out) lines << nlohmann::json{{"input_ids", ids}}.dump() << "\n";
  lines.close();
  run_cria_well({"score", "--model", directory / "run/final", "--data",
                 directory / "held_out.jsonl", "--output", directory / "scores.jsonl"});
  std::ifstream scores(directory / "scores.jsonl");
  std::vector<double> logprobs;
  for (std::string line; std::getline(scores, line);) {
    const auto object = nlohmann::json::parse(line);
    for (const auto& value : object["logprobs"]) logprobs.push_back(value);
  }
  const SafetensorsFile expected(golden("sft/expected.safetensors"));
  const SafetensorsTensor* tensor = expected.find("transformers_fp32");
  ASSERT_NE(tensor, nullptr);
  std::vector<float> truth(static_cast<size_t>(tensor->shape.elements()));
  convert_elements(*tensor, 0, tensor->shape.elements(), DType::f32, truth.data());
  ASSERT_EQ(logprobs.size(), truth.size());
  for (size_t i = 0; i < truth.size(); ++i) {
    EXPECT_NEAR(logprobs[i], static_cast<double>(truth[i]), 1e-4) << "token " << i;
  }
}

}  // namespace

}  // namespace cria::testing
