#include "runs/small_run.h"

#include <cmath>

namespace cria::testing {

std::string name_of(Trainer trainer) {
  switch (trainer) {
    case Trainer::pretrain:
      return "pretrain";
    case Trainer::sft:
      return "sft";
    case Trainer::reward:
      return "reward";
    case Trainer::dpo:
      return "dpo";
    case Trainer::rejection:
      return "rejection";
    case Trainer::ppo:
      return "ppo";
  }
  return "";
}

std::string trainer_name(const ::testing::TestParamInfo<Trainer>& which) {
  return name_of(which.param);
}

namespace {

bool is_of_pairs(Trainer trainer) { return trainer == Trainer::reward || trainer == Trainer::dpo; }

// Of the demo world.
std::string data_file(Trainer trainer) {
  switch (trainer) {
    case Trainer::pretrain:
      return "data/pretrain.jsonl";
    case Trainer::sft:
      return "data/sft_train.jsonl";
    case Trainer::reward:
    case Trainer::dpo:
      return "data/preferences_helpful_train.jsonl";
    case Trainer::rejection:
    case Trainer::ppo:
      return "data/prompts_train.jsonl";
  }
  return "";
}

// Answers of 6 tokens, scored by a golden reward model of the same family. Rejection makes its data
// itself; PPO's are prompts.
std::vector<std::string> own_settings(Trainer trainer, const std::string& data) {
  const std::string reward_model = golden("ppo/value_model");
  if (trainer == Trainer::rejection) {
    return {"rejection.prompts=[" + data + "]",
            "rejection.helpfulness=" + reward_model,
            "rejection.num_samples=2",
            "rejection.max_new_tokens=6",
            "rejection.slots=4",
            "rejection.batch_tokens=128",
            "rejection.truncated=keep"};
  }
  std::vector<std::string> settings = {"data.train=[{path: " + data + "}]"};
  if (trainer == Trainer::ppo) {
    settings.insert(settings.end(), {"ppo.helpfulness=" + reward_model, "ppo.response_length=6",
                                     "ppo.num_mini_batches=2", "ppo.slots=4"});
  }
  return settings;
}

}  // namespace

int least_pass_tokens(Trainer trainer) { return is_of_pairs(trainer) ? 256 : 128; }

SmallRun::SmallRun(Trainer trainer) : trainer_(trainer) {
  run_cria_well({"demo-data", "--output", path("data"), "--size", "small"});
}

std::vector<std::string> SmallRun::command(const std::string& output,
                                           const std::vector<std::string>& assignments) const {
  std::vector<std::string> words = {name_of(trainer_)};
  std::vector<std::string> settings = {
      "model.path=" + golden("models/gqa_untied"),
      "tokenizer.path=" + golden("tokenizer.model"),
      "data.max_length=128",
      "training.train_batch_size=4",
      "training.micro_batch_tokens=256",
      "training.max_steps=12",
      "training.output_dir=" + path(output),
      "optimizer.learning_rate=3e-3",
      "optimizer.warmup_steps=3",
      "checkpoint.save_steps=4",
      "logging.logging_steps=1",
  };
  for (const auto& more : {own_settings(trainer_, path(data_file(trainer_))), assignments}) {
    settings.insert(settings.end(), more.begin(), more.end());
  }
  for (const std::string& setting : settings) {
    words.push_back("--set");
    words.push_back(setting);
  }
  return words;
}

namespace {

void expect_same_tree(const std::string& run, const std::string& other, const std::string& folder) {
  auto files = read_tree(run + folder);
  auto others = read_tree(other + folder);
  // Names the settings of the run, its output directory among them.
  for (auto* tree : {&files, &others}) {
    const auto state = tree->find("trainer_state.json");
    if (state == tree->end()) continue;
    auto object = nlohmann::json::parse(state->second);
    object.erase("config");
    state->second = object.dump();
  }
  ASSERT_EQ(files.size(), others.size()) << folder;
  for (const auto& [name, bytes] : files) {
    EXPECT_TRUE(bytes == others[name]) << folder << "/" << name << " differs";
  }
}

}  // namespace

void expect_same_checkpoint(const std::string& run, const std::string& other, int step) {
  expect_same_tree(run, other, "/checkpoint-" + std::to_string(step));
  EXPECT_EQ(read_metrics(run), read_metrics(other));
}

void expect_close_metrics(const std::string& run, const std::string& other,
                          const std::string& precision, size_t steps) {
  const double bound = precision == "fp32" ? 1e-4 : 0x1p-8;
  const auto lines = read_metrics(run);
  const auto others = read_metrics(other);
  ASSERT_EQ(lines.size(), steps);
  ASSERT_EQ(others.size(), steps);
  ASSERT_LE(steps, 6u);
  for (size_t i = 0; i < lines.size(); ++i) {
    ASSERT_TRUE(lines[i].contains("loss") && lines[i].contains("grad_norm")) << lines[i];
    for (const char* figure :
         {"loss", "grad_norm", "entropy", "mean_token_accuracy", "max_reward", "logps/chosen",
          "logps/rejected", "objective/scores", "objective/entropy", "policy/entropy_avg",
          "val/ratio", "loss/value_avg", "critic/grad_norm"}) {
      ASSERT_EQ(lines[i].contains(figure), others[i].contains(figure)) << figure;
      if (!lines[i].contains(figure)) continue;  // another trainer's
      // One token whose best two logits nearly tie is more than the bound.
      if (precision == "bf16" && std::string(figure) == "mean_token_accuracy") continue;
      const double a = lines[i][figure];
      const double b = others[i][figure];
      EXPECT_LE(std::abs(a - b), bound * std::abs(b)) << figure << " at step " << i + 1;
    }
    EXPECT_EQ(lines[i]["num_tokens"], others[i]["num_tokens"]);
  }
}

std::vector<std::string> mpirun(int ranks) {
  return {
      "mpirun", "--allow-run-as-root", "--oversubscribe", "-n", std::to_string(ranks),
      // A rank that waits gives its core to the others; one thread each.
      "--mca", "mpi_yield_when_idle", "1", "-x", "OMP_NUM_THREADS=1",
      // Open MPI waits that many seconds before it passes SIGTERM on, and again before it kills.
      "--mca", "odls_base_sigkill_timeout", "3",
      // Ranks that wait for each other for ever are a failure too.
      "--timeout", "200"};
}

void expect_same_run(const std::string& run, const std::string& other, int last_step) {
  expect_same_checkpoint(run, other, last_step);
  expect_same_tree(run, other, "/final");
}

}  // namespace cria::testing
