#include "cria/io/checkpoint.h"

#include <csignal>
#include <filesystem>
#include <fstream>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cria/io/file.h"

#include "expect_error.h"
#include "small_model.h"
#include "support/places.h"
#include "support/temporary_directory.h"

namespace cria {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// A model with its moments.
struct Trained {
  explicit Trained(const ModelConfig& config, DType moment_dtype = DType::f32)
      : weights(config), first(config, moment_dtype), second(config, moment_dtype) {}

  void fill(float offset) {
    weights.fill(offset);
    first.fill(offset + 10);
    second.fill(offset + 20);
  }

  CheckpointModel model(const std::string& folder = "") {
    return {folder, &weights.set, &first.set, &second.set};
  }

  bool operator==(const Trained& other) const {
    return weights.bytes() == other.weights.bytes() && first.bytes() == other.first.bytes() &&
           second.bytes() == other.second.bytes();
  }

  SmallSet weights, first, second;
};

class CheckpointTest : public ::testing::Test {
 protected:
  void save(int64_t step, int keep = 0) {
    save_checkpoint(output_.path(), step, keep,
                    {.models = {trained_.model()},
                     .tokenizer_model = tokenizer_,
                     .trainer_state = {{"step", step}}},
                    *backend_);
  }

  std::vector<std::string> names() const {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(output_.path())) {
      found.push_back(entry.path().filename());
    }
    std::sort(found.begin(), found.end());
    return found;
  }

  TemporaryDirectory output_;
  std::unique_ptr<Backend> backend_ = make_backend("cpu");
  std::string tokenizer_ = read_file(testing::source_path("tests/golden/tokenizer.model"));
  Trained trained_{small_config()};
};

TEST_F(CheckpointTest, RoundTripsBitForBit) {
  for (const DType moment_dtype : {DType::f32, DType::bf16}) {
    Trained policy(small_config(), moment_dtype), restored_policy(small_config(), moment_dtype);
    Trained value(small_config(HeadKind::score)), restored_value(small_config(HeadKind::score));
    policy.fill(0.1f);
    value.fill(0.2f);
    const json state = {{"step", 3},
                        {"cursor", uint64_t{1} << 63},
                        {"loss", 0.1 + 0.2},
                        {"nested", {{"list", {1, 2}}}}};
    save_checkpoint(output_.path(), 3, 0,
                    {.models = {policy.model(), value.model("value_model")},
                     .tokenizer_model = tokenizer_,
                     .trainer_state = state},
                    *backend_);
    const auto latest = latest_checkpoint(output_.path());
    ASSERT_TRUE(latest);
    EXPECT_EQ(*latest, output_ / "checkpoint-3");
    EXPECT_EQ(read_trainer_state(*latest), state);
    load_checkpoint(*latest, {restored_policy.model(), restored_value.model("value_model")},
                    *backend_);
    EXPECT_EQ(restored_policy, policy);
    EXPECT_EQ(restored_value, value);
    EXPECT_EQ(read_file(*latest + "/tokenizer.model"), tokenizer_);
  }
}

TEST_F(CheckpointTest, KeepsTheNewest) {
  for (int64_t step = 8; step <= 11; ++step) save(step, 2);
  EXPECT_EQ(names(), (std::vector<std::string>{"checkpoint-10", "checkpoint-11"}));
  save(12, 0);
  EXPECT_EQ(names().size(), 3u);
  EXPECT_EQ(latest_checkpoint(output_.path()), output_ / "checkpoint-12");
}

TEST_F(CheckpointTest, AnEarlierRunsLaterCheckpointsDoNotCount) {
  save(100);
  save(5, 1);
  save(6, 1);
  EXPECT_EQ(names(), (std::vector<std::string>{"checkpoint-100", "checkpoint-6"}));
}

TEST_F(CheckpointTest, SavingAStepAgainReplacesIt) {
  save(1);
  trained_.fill(0.5f);
  save(1);
  Trained restored(small_config());
  load_checkpoint(output_ / "checkpoint-1", {restored.model()}, *backend_);
  EXPECT_EQ(restored, trained_);
}

TEST_F(CheckpointTest, LatestIsTheHighestWholeOne) {
  EXPECT_FALSE(latest_checkpoint(output_.path()));
  EXPECT_FALSE(latest_checkpoint(output_ / "absent"));
  save(9);
  save(10);
  fs::create_directory(output_ / "checkpoint-11");
  fs::create_directory(output_ / "checkpoint-x");
  fs::create_directory(output_ / "checkpoint--1");
  fs::create_directory(output_ / "checkpoint-99999999999999999999");
  fs::create_directory(output_ / ".checkpoint-12.partial-1");
  std::ofstream(output_ / "checkpoint-13");
  EXPECT_EQ(latest_checkpoint(output_.path()), output_ / "checkpoint-10");
  fs::remove(output_ / "checkpoint-10/optimizer.safetensors");
  EXPECT_EQ(latest_checkpoint(output_.path()), output_ / "checkpoint-9");
}

TEST_F(CheckpointTest, AnotherModelIsAnErrorThatSaysWhatDiffers) {
  save(1);
  const auto refuse = [&](const ModelConfig& config, const std::vector<std::string>& words) {
    Trained other(config);
    expect_input_error(
        words, [&] { load_checkpoint(output_ / "checkpoint-1", {other.model()}, *backend_); });
  };
  ModelConfig config = small_config();
  config.intermediate_size = 16;
  config.num_hidden_layers = 3;
  refuse(config, {"a checkpoint of another model", "intermediate_size 12 instead of 16",
                  "num_hidden_layers 2 instead of 3"});
  config = small_config();
  config.rope_theta = 5e5;
  refuse(config, {"rope_theta 10000.0 instead of 500000.0"});
  refuse(small_config(HeadKind::score), {"LlamaForCausalLM"});
  refuse(small_config(HeadKind::language, true), {"tie_word_embeddings"});
}

TEST_F(CheckpointTest, OtherDtypesAreErrors) {
  save(1);
  const std::string path = output_ / "checkpoint-1";
  Trained bf16_moments(small_config(), DType::bf16);
  expect_input_error({"optimizer.safetensors", "moment_dtype"},
                     [&] { load_checkpoint(path, {bf16_moments.model()}, *backend_); });
  SmallSet bf16_weights(small_config(), DType::bf16);
  CheckpointModel model = trained_.model();
  model.weights = &bf16_weights.set;
  expect_input_error({"config.json", "dtype"}, [&] { load_checkpoint(path, {model}, *backend_); });
}

TEST_F(CheckpointTest, BrokenFilesAreErrors) {
  save(1);
  const std::string path = output_ / "checkpoint-1";
  const auto load = [&] { load_checkpoint(path, {trained_.model()}, *backend_); };
  fs::resize_file(path + "/optimizer.safetensors", 5000);
  expect_input_error({"optimizer.safetensors"}, load);
  fs::remove(path + "/optimizer.safetensors");
  expect_input_error({"optimizer.safetensors", "No such file"}, load);
  std::ofstream(path + "/trainer_state.json") << "{\"step\": 1";
  expect_input_error({"trainer_state.json", "not valid JSON"}, [&] { read_trainer_state(path); });
}

TEST_F(CheckpointTest, KilledAtAnyMomentTheLatestIsWhole) {
  trained_.fill(0.25f);
  save(1);
  for (int round = 0; round < 10; ++round) {
    const pid_t child = fork();
    if (child == 0) {
      for (int64_t step = 2;; ++step) save(step, 2);
    }
    usleep(static_cast<useconds_t>(1000 + 7000 * round));
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    const auto latest = latest_checkpoint(output_.path());
    ASSERT_TRUE(latest);
    Trained restored(small_config());
    load_checkpoint(*latest, {restored.model()}, *backend_);
    EXPECT_EQ(restored, trained_);
    EXPECT_EQ(*latest, output_ / fmt::format("checkpoint-{}",
                                             read_trainer_state(*latest)["step"].get<int64_t>()));
  }
  save(1'000'000, 1);
  EXPECT_EQ(names(), std::vector<std::string>{"checkpoint-1000000"});
}

TEST_F(CheckpointTest, BeyondTheFileSizeLimitTheLastOneIsIntact) {
  trained_.fill(0.25f);
  save(1);
  const pid_t child = fork();
  if (child == 0) {
    const rlimit limit = {5000, 5000};
    setrlimit(RLIMIT_FSIZE, &limit);
    try {
      save(2, 1);
    } catch (const Error& error) {
      _exit(std::string(error.what()).find("File too large") != std::string::npos ? 0 : 2);
    }
    _exit(1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(names(), std::vector<std::string>{"checkpoint-1"});
  Trained restored(small_config());
  load_checkpoint(output_ / "checkpoint-1", {restored.model()}, *backend_);
  EXPECT_EQ(restored, trained_);
}

}  // namespace
}  // namespace cria
