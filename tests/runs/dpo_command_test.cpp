// cria dpo as a user calls it.
#include <cmath>
#include <filesystem>

#include "runs/commands.h"
#include "runs/small_run.h"

namespace cria::testing {

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

TEST(DpoCommand, StartsAtLnTwo) {
  const SmallRun small(Trainer::dpo);
  run_cria_well(small.command("live", {"dpo.precompute_reference=false"}));
  const json live = read_metrics(small.path("live"))[0];
  EXPECT_EQ(live["loss"], std::log1p(1.0));  // the same log-probabilities, to the bit
  EXPECT_EQ(live["rewards/margins"], 0.0);
  EXPECT_FALSE(fs::exists(small.path("live/reference_logprobs.json")));
  // Scored in other packs: off by the last bits of sums of some ten log-probabilities.
  run_cria_well(small.command("kept"));
  EXPECT_NEAR(read_metrics(small.path("kept"))[0]["loss"], std::log1p(1.0), 1e-5);
}

// Of n held-out pairs a coin is right for n/2 with a deviation of sqrt(n)/2: three of them above.
TEST(DpoCommand, LearnsWhatIsBetterOnHeldOutPairs) {
  const SmallRun small(Trainer::dpo);
  run_cria_well({"demo-data", "--output", small.path("full")});
  run_cria_well(small.command(
      "run", {"data.train=[{path: " + small.path("full/preferences_safety_train.jsonl") + "}]",
              "data.eval=[{path: " + small.path("full/preferences_safety_test.jsonl") + "}]",
              "training.max_steps=120", "training.train_batch_size=16",
              "training.micro_batch_tokens=1024", "optimizer.learning_rate=1e-3"}));
  const auto metrics = read_metrics(small.path("run"));
  EXPECT_LT(metrics.back()["eval_loss"], std::log1p(1.0));
  const json parts = json::parse(read_bytes(small.path("run/evaluation.json")))["parts"];
  const double pairs = parts["all"]["pairs"];
  EXPECT_EQ(pairs, 395);  // of 400; the others are longer than the rows of the small run
  EXPECT_GT(parts["all"]["accuracy"].get<double>(), 0.5 + 3 * std::sqrt(pairs) / 2 / pairs);
  EXPECT_EQ(parts["all"]["accuracy"], metrics.back()["eval_rewards/accuracies"]);
  EXPECT_EQ(parts["all"]["margin"].get<double>(),
            metrics.back()["eval_margin/safety"].get<double>());
}

TEST(DpoCommand, TheReferenceIsScoredOnceForItsDataAndItsWeights) {
  const SmallRun small(Trainer::dpo);
  const std::vector<std::string> part = {"training.stop_at_step=4"};
  const auto output_of = [&](const std::vector<std::string>& words) {
    const ProcessResult result = run_cria(words);
    EXPECT_EQ(result.exit_code, 0) << result.errors;
    return result.output;
  };
  const std::string made = "reference written to";
  const std::string kept = "log-probabilities of the reference: ";
  const std::string cache = small.path("run/reference_logprobs.json");
  EXPECT_NE(output_of(small.command("run", part)).find(made), std::string::npos);
  const std::string bytes = read_bytes(cache);
  EXPECT_NE(output_of(small.command("run")).find(kept), std::string::npos);
  EXPECT_TRUE(bytes == read_bytes(cache));

  // Another model's, another data's, and a damaged one, are made again.
  const auto made_again_in = [&](const std::string& contents,
                                 const std::vector<std::string>& settings) {
    fs::create_directories(small.path("again"));
    write_bytes(small.path("again/reference_logprobs.json"), contents);
    auto stopped = settings;
    stopped.push_back("training.max_steps=1");
    const bool again = output_of(small.command("again", stopped)).find(made) != std::string::npos;
    const bool same = bytes == read_bytes(small.path("again/reference_logprobs.json"));
    fs::remove_all(small.path("again"));
    return std::pair(again, same);
  };
  EXPECT_EQ(made_again_in(bytes, {}), std::pair(false, true));
  EXPECT_EQ(made_again_in(bytes.substr(0, bytes.size() / 2), {}), std::pair(true, true));
  EXPECT_EQ(made_again_in(bytes, {"dpo.reference=" + small.path("run/final")}),
            std::pair(true, false));
  EXPECT_EQ(made_again_in(bytes, {"data.max_length=120"}), std::pair(true, false));
}

TEST(DpoCommand, WrongSettingsAreRefused) {
  const SmallRun small(Trainer::dpo);
  expect_refused(small.command("run", {"dpo.loss_type=ipo", "dpo.label_smoothing=0.1"}),
                 "dpo.label_smoothing");
  expect_refused(small.command("run", {"dpo.reference=" + golden("models/reward")}),
                 "dpo.reference");
  expect_refused(small.command("run", {"dpo.reference=" + golden("models/mha_tied"),
                                       "dpo.precompute_reference=false"}),
                 "dpo.precompute_reference");
  expect_refused(small.command("run", {"dpo.beta=0"}), "dpo.beta");
}

}  // namespace

}  // namespace cria::testing
