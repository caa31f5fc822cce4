// cria reward as a user calls it: what it learns, what it leaves, what it refuses.
#include <cmath>
#include <filesystem>
#include <set>

#include "runs/commands.h"
#include "runs/small_run.h"
#include "support/places.h"

namespace cria::testing {

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

json last_evaluation(const std::string& run) {
  json found;
  for (const json& line : read_metrics(run)) {
    if (line.contains("eval_loss")) found = line;
  }
  return found;
}

std::string eval_files(const SmallRun& small) {
  return "data.eval=[{path: " + small.path("data/preferences_helpful_test.jsonl") +
         "}, {path: " + small.path("data/preferences_safety_test.jsonl") + "}]";
}

// Of n held-out pairs a coin is right for n/2 with a deviation of sqrt(n)/2: three of them above.
TEST(RewardCommand, LearnsWhatIsBetterOnHeldOutPairs) {
  const SmallRun small(Trainer::reward);
  run_cria_well({"demo-data", "--output", small.path("full")});
  run_cria_well(small.command(
      "run", {"data.train=[{path: " + small.path("full/preferences_safety_train.jsonl") + "}]",
              "data.eval=[{path: " + small.path("full/preferences_safety_test.jsonl") + "}]",
              "training.max_steps=120", "training.train_batch_size=16",
              "training.micro_batch_tokens=1024", "optimizer.learning_rate=1e-3"}));
  const json evaluation = json::parse(read_bytes(small.path("run/evaluation.json")));
  const json& all = evaluation["parts"]["all"];
  const double pairs = all["pairs"];
  EXPECT_EQ(pairs, 395);  // of 400; the others are longer than the rows of the small run
  EXPECT_GT(all["accuracy"].get<double>(), 0.5 + 3 * std::sqrt(pairs) / 2 / pairs);
  EXPECT_GT(all["margin"], 0.0);

  // What metrics.jsonl has of it, and the table.
  const json logged = last_evaluation(small.path("run"));
  EXPECT_EQ(logged["eval_accuracy"], all["accuracy"]);
  EXPECT_EQ(logged["eval_margin"], all["margin"]);
  EXPECT_EQ(logged["eval_calibration_error"], all["calibration_error"]);
  EXPECT_EQ(logged["eval_accuracy/significantly_better"],
            evaluation["parts"]["significantly_better"]["accuracy"]);
  EXPECT_NE(read_bytes(small.path("run/evaluation.txt")).find("significantly_better"),
            std::string::npos);
}

TEST(RewardCommand, PartsAddUp) {
  const SmallRun small(Trainer::reward);
  run_cria_well(small.command("run", {eval_files(small)}));
  const json parts = json::parse(read_bytes(small.path("run/evaluation.json")))["parts"];
  const double pairs = parts["all"]["pairs"];
  EXPECT_EQ(parts["helpful"]["pairs"].get<double>() + parts["safety"]["pairs"].get<double>(),
            pairs);
  double by_rating = 0, right = 0;
  for (const char* rating :
       {"significantly_better", "better", "slightly_better", "negligibly_better"}) {
    if (!parts.contains(rating)) continue;
    by_rating += parts[rating]["pairs"].get<double>();
    right += parts[rating]["pairs"].get<double>() * parts[rating]["accuracy"].get<double>();
  }
  EXPECT_EQ(by_rating, pairs);
  EXPECT_NEAR(right, pairs * parts["all"]["accuracy"].get<double>(), 1e-9);
}

TEST(RewardCommand, WritesWhatTransformersReads) {
  const SmallRun small(Trainer::reward);
  run_cria_well(small.command("run"));
  const json config = json::parse(read_bytes(small.path("run/final/config.json")));
  EXPECT_EQ(config["architectures"], json{"LlamaForSequenceClassification"});
  EXPECT_EQ(config["num_labels"], 1);
  EXPECT_EQ(config["pad_token_id"], 0);  // unk: transformers takes an eos at the end for no pad
  EXPECT_EQ(config["eos_token_id"], 2);
  EXPECT_EQ(config["tie_word_embeddings"], false);
  EXPECT_TRUE(fs::exists(small.path("run/final/tokenizer.model")));
}

// Goes on with the head that is there; a language model gets a new one, drawn from the seed.
TEST(RewardCommand, StartsFromALanguageModelOrFromARewardModel) {
  const SmallRun small(Trainer::reward);
  const std::vector<std::string> still = {"optimizer.learning_rate=1e-30", "training.max_steps=1"};
  const auto run = [&](const std::string& name, const std::string& setting) {
    auto settings = still;
    settings.push_back(setting);
    run_cria_well(small.command(name, settings));
    return read_bytes(small.path(name + "/final/model.safetensors"));
  };
  const std::string first = run("first", "training.seed=1");
  EXPECT_TRUE(first == run("same", "training.seed=1"));
  EXPECT_FALSE(first == run("other", "training.seed=2"));
  const std::string path = "model.path=" + small.path("first/final");
  auto settings = still;
  settings.insert(settings.end(), {path, "training.seed=3"});
  run_cria_well(small.command("on", settings));
  EXPECT_TRUE(first == read_bytes(small.path("on/final/model.safetensors")));
}

TEST(RewardCommand, ARewardModelWithoutItsHeadIsRefused) {
  const SmallRun small(Trainer::reward);
  // Says that it is a reward model, but has a language model's weights.
  fs::copy(golden("models/gqa_untied"), small.path("headless"));
  fs::copy_file(golden("models/reward/config.json"), small.path("headless/config.json"),
                fs::copy_options::overwrite_existing);
  json config = json::parse(read_bytes(small.path("headless/config.json")));
  config["vocab_size"] = 512;
  write_bytes(small.path("headless/config.json"), config.dump());
  expect_refused(small.command("run", {"model.path=" + small.path("headless")}), "score.weight",
                 small.path("run/final"));
}

TEST(RewardCommand, LanguageTrainersRefuseARewardModel) {
  const SmallRun small(Trainer::reward);
  run_cria_well(small.command("run", {"training.max_steps=1"}));
  for (const Trainer trainer : {Trainer::sft, Trainer::dpo, Trainer::pretrain}) {
    const SmallRun other(trainer);
    expect_refused(other.command("run", {"model.path=" + small.path("run/final")}), "model.path",
                   other.path("run/final"));
  }
}

TEST(RewardCommand, WrongSettingsAreRefused) {
  const SmallRun small(Trainer::reward);
  expect_refused(small.command("run", {"training.micro_batch_tokens=255"}),
                 "training.micro_batch_tokens");
  expect_refused(small.command("run", {"reward.margin=medium"}), "reward.margin");
  expect_refused(small.command("run", {"model.path=" + golden("models/gqa_tied")}),
                 "tokenizer.path");  // of 320 pieces
  expect_refused(small.command("run", {"optimizer.min_warmup_steps=5"}),
                 "optimizer.min_warmup_steps");
}

TEST(RewardCommand, WarmUpHasALeastLength) {
  const SmallRun small(Trainer::reward);
  run_cria_well(small.command("run", {"optimizer.warmup_steps=0", "optimizer.warmup_ratio=0.03",
                                      "optimizer.min_warmup_steps=5"}));
  const auto metrics = read_metrics(small.path("run"));
  EXPECT_NEAR(metrics[0]["learning_rate"], 3e-3 / 5, 1e-12);
  EXPECT_NEAR(metrics[4]["learning_rate"], 3e-3, 1e-12);
  EXPECT_LT(metrics[5]["learning_rate"], 3e-3);
}

TEST(RewardScaling, CurvesOfRunsThatAreNotRunAgain) {
  const SmallRun small(Trainer::reward);
  std::vector<std::string> words = small.command(
      "scaling", {"training.max_steps=null", "training.num_train_epochs=0.04", eval_files(small)});
  words[0] = "reward-scaling";
  words.insert(words.end(), {"--shares", "0.5,1"});
  words.insert(words.end(), {"--models", golden("models/gqa_untied") + "," + small.path("wide")});
  run_cria_well({"init", "--config", source_path("configs/models/tiny.yaml"), "--tokenizer",
                 golden("tokenizer.model"), "--output", small.path("wide"), "--seed", "1", "--set",
                 "vocab_size=512"});
  run_cria_well(words);
  const json points = json::parse(read_bytes(small.path("scaling/scaling.json")));
  ASSERT_EQ(points.size(), 4u);
  EXPECT_EQ(points[0]["share"], 0.5);
  EXPECT_EQ(points[1]["share"], 1.0);
  EXPECT_GT(points[1]["pairs"], points[0]["pairs"]);
  EXPECT_NE(points[2]["parameters"], points[0]["parameters"]);
  for (const json& point : points) {
    EXPECT_TRUE(point["evaluation"]["parts"]["all"].contains("accuracy"));
  }
  for (const char* name : {"accuracy_by_data.svg", "accuracy_by_size.svg", "scaling.txt"}) {
    EXPECT_TRUE(fs::exists(small.path("scaling/" + std::string(name)))) << name;
  }
  const auto before = read_tree(small.path("scaling"));
  run_cria_well(words);
  EXPECT_TRUE(before == read_tree(small.path("scaling")));
  words.insert(words.end(), {"--set", "training.num_train_epochs=2"});
  expect_refused(words, "training.num_train_epochs");
}

}  // namespace

}  // namespace cria::testing
