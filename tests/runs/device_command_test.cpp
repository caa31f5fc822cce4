// Scoring and generation on the devices beside the CPU, and what `--device` makes of its word.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <sstream>

#include "cria/io/safetensors.h"
#include "cria/ops/backend.h"

#include "runs/commands.h"
#include "runs/small_run.h"

namespace cria::testing {

namespace {

using nlohmann::json;

struct DeviceCommandCase {
  std::string device;
  std::string precision;
};

std::vector<DeviceCommandCase> cases() {
  std::vector<DeviceCommandCase> result;
  for (const std::string& device : usable_devices()) {
    if (device == "cpu") continue;
    for (const char* precision : {"fp32", "bf16"}) result.push_back({device, precision});
  }
  return result;
}

std::string case_name(const ::testing::TestParamInfo<DeviceCommandCase>& info) {
  return info.param.device + "_" + info.param.precision;
}

// How far the log-probabilities of the golden model may be apart on two devices (docs/numerics.md):
// in fp32 each is at most 2e-5 from the truth; in bf16 at most 1.5 times as far as the reference
// that rounds where cria's ops do.
double largest_distance(const std::string& precision) {
  if (precision == "fp32") return 2 * 2e-5;
  const SafetensorsFile file(golden("expected/gqa_untied.safetensors"));
  const auto values = [&](const char* name) {
    const SafetensorsTensor& tensor = *file.find(name);
    std::vector<float> result(static_cast<size_t>(tensor.shape.elements()));
    convert_elements(tensor, 0, tensor.shape.elements(), DType::f32, result.data());
    return result;
  };
  const std::vector<float> truth = values("truth"), rounded = values("stored_in_bf16");
  double largest = 0;
  for (size_t i = 0; i < truth.size(); ++i) {
    largest = std::max(largest, std::fabs(double{rounded[i]} - double{truth[i]}));
  }
  return 2 * 1.5 * largest;
}

class DeviceCommand : public Commands, public ::testing::WithParamInterface<DeviceCommandCase> {
 protected:
  // What a command leaves in its output file. The width of the engine and the tokens of a scoring
  // pass are small, for the emulator's sake.
  std::string output_of(std::vector<std::string> words, const std::string& device,
                        const std::string& thread_order = "forward") const {
    const std::vector<std::string> more = {"--model",     model_,
                                           "--device",    device,
                                           "--precision", GetParam().precision,
                                           "--output",    path("output.jsonl")};
    words.insert(words.end(), more.begin(), more.end());
    const ProcessResult result =
        Process({"env", "CRIA_EMULATOR_ORDER=" + thread_order}, words).wait();
    EXPECT_EQ(result.exit_code, 0) << result.output << result.errors;
    return read_bytes(path("output.jsonl"));
  }

  std::string scores(const std::string& device, const std::string& thread_order = "forward") const {
    return output_of({"score", "--data", path("data.jsonl"), "--batch-tokens", "128"}, device,
                     thread_order);
  }
  std::string answers(const std::string& device, const std::string& temperature,
                      const std::string& thread_order = "forward") const {
    return output_of({"generate", "--prompts", path("data.jsonl"), "--slots", "3",
                      "--max-new-tokens", "8", "--temperature", temperature},
                     device, thread_order);
  }

  static std::vector<json> objects(const std::string& lines) {
    std::vector<json> result;
    std::istringstream stream(lines);
    for (std::string line; std::getline(stream, line);) result.push_back(json::parse(line));
    return result;
  }

  // Sequences of 2 to 64 tokens, more of them than the engine has slots.
  void SetUp() override {
    std::vector<std::string> lines;
    for (const json& ids : json::parse(read_bytes(golden("sequences.json")))) {
      if (ids.size() <= 64) lines.push_back(json{{"input_ids", ids}}.dump());
    }
    ASSERT_EQ(lines.size(), 4u);
    write_lines(path("data.jsonl"), lines);
  }
};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(DeviceCommand);
INSTANTIATE_TEST_SUITE_P(Devices, DeviceCommand, ::testing::ValuesIn(cases()), case_name);

TEST_P(DeviceCommand, ScoresAgreeWithTheCpu) {
  const std::vector<json> here = objects(scores(GetParam().device)), there = objects(scores("cpu"));
  const double bound = largest_distance(GetParam().precision);
  ASSERT_EQ(here.size(), 4u);
  ASSERT_EQ(there.size(), 4u);
  for (size_t i = 0; i < here.size(); ++i) {
    const std::vector<double> a = here[i]["logprobs"], b = there[i]["logprobs"];
    ASSERT_EQ(a.size(), b.size());
    for (size_t t = 0; t < a.size(); ++t) EXPECT_NEAR(a[t], b[t], bound) << i << ", token " << t;
  }
}

// Token for token, up to where the best two are no further apart than the devices: there the log
// probabilities of both choices, each the largest on its device, still agree.
TEST_P(DeviceCommand, GreedyAnswersAgreeWithTheCpu) {
  const std::vector<json> here = objects(answers(GetParam().device, "0"));
  const std::vector<json> there = objects(answers("cpu", "0"));
  const double bound = largest_distance(GetParam().precision);
  ASSERT_EQ(here.size(), there.size());
  for (size_t i = 0; i < here.size(); ++i) {
    const std::vector<int> ids = here[i]["completion_ids"], others = there[i]["completion_ids"];
    const std::vector<double> a = here[i]["logprobs"], b = there[i]["logprobs"];
    const size_t same = static_cast<size_t>(
        std::mismatch(ids.begin(), ids.end(), others.begin(), others.end()).first - ids.begin());
    if (GetParam().precision == "fp32") {
      EXPECT_EQ(ids, others) << i;
    }
    for (size_t t = 0; t < std::min({same + 1, a.size(), b.size()}); ++t) {
      EXPECT_NEAR(a[t], b[t], bound) << "answer " << i << ", token " << t;
    }
  }
}

TEST_P(DeviceCommand, SampledLogprobsAreTheCpusScores) {
  const std::vector<json> samples = objects(answers(GetParam().device, "1"));
  const std::vector<json> prompts = json_lines(path("data.jsonl"));
  const double bound = largest_distance(GetParam().precision);
  std::vector<std::string> lines;
  for (size_t i = 0; i < samples.size(); ++i) {
    json ids = prompts[i]["input_ids"];
    for (const json& id : samples[i]["completion_ids"]) ids.push_back(id);
    lines.push_back(json{{"input_ids", ids}}.dump());
  }
  write_lines(path("data.jsonl"), lines);
  const std::vector<json> scored = objects(scores("cpu"));
  ASSERT_EQ(scored.size(), samples.size());
  for (size_t i = 0; i < samples.size(); ++i) {
    const std::vector<double> drawn = samples[i]["logprobs"], all = scored[i]["logprobs"];
    ASSERT_GT(all.size(), drawn.size());
    for (size_t t = 0; t < drawn.size(); ++t) {
      EXPECT_NEAR(drawn[t], all[all.size() - drawn.size() + t], bound) << i << ", token " << t;
    }
  }
}

TEST_P(DeviceCommand, AgainAndInAnyOrderOfThreadsTheBitsAreTheSame) {
  const std::string scored = scores(GetParam().device), sampled = answers(GetParam().device, "1");
  std::vector<std::string> orders = {"forward"};
  if (GetParam().device == "emulated") orders.insert(orders.end(), {"reverse", "shuffled:1"});
  for (const std::string& order : orders) {
    EXPECT_EQ(scores(GetParam().device, order), scored) << order;
    EXPECT_EQ(answers(GetParam().device, "1", order), sampled) << order;
  }
}

class DeviceChoice : public Commands {
 protected:
  // With no GPU to be seen, on machines that have one too.
  static ProcessResult run_without_gpu(const std::vector<std::string>& words) {
    return Process({"env", "CUDA_VISIBLE_DEVICES="}, words).wait();
  }

  std::vector<std::string> score_command(const std::string& device) {
    write_lines(path("data.jsonl"), {R"({"input_ids": [1, 5, 9, 30]})"});
    return {"score",  "--model",          model_,
            "--data", path("data.jsonl"), "--device",
            device,   "--output",         path(device + ".jsonl")};
  }

  void expect_cuda_refused(const std::vector<std::string>& words) {
    const ProcessResult result = run_without_gpu(words);
    EXPECT_EQ(result.exit_code, 2) << result.errors;
    EXPECT_EQ(result.errors.rfind("error: device: cuda: ", 0), 0u) << result.errors;
    EXPECT_EQ(std::count(result.errors.begin(), result.errors.end(), '\n'), 1) << result.errors;
    EXPECT_NE(result.errors.find("use cpu"), std::string::npos) << result.errors;
    EXPECT_EQ(result.output, "");
  }
};

TEST_F(DeviceChoice, CudaWithoutAGpuIsOneLine) {
  expect_cuda_refused(score_command("cuda"));
  EXPECT_FALSE(std::filesystem::exists(path("cuda.jsonl")));
  expect_cuda_refused({"generate", "--model", model_, "--prompt", "a", "--device", "cuda"});
  for (const Trainer trainer : {Trainer::pretrain, Trainer::sft}) {
    const SmallRun small(trainer);
    expect_cuda_refused(small.command("run", {"training.device=cuda"}));
    EXPECT_FALSE(std::filesystem::exists(small.path("run")));
  }
}

TEST_F(DeviceChoice, AutoWithoutAGpuIsTheCpu) {
  for (const char* device : {"auto", "cpu"}) {
    const ProcessResult result = run_without_gpu(score_command(device));
    EXPECT_EQ(result.exit_code, 0) << result.errors;
  }
  EXPECT_EQ(read_bytes(path("auto.jsonl")), read_bytes(path("cpu.jsonl")));
}

TEST_F(DeviceChoice, AutoTakesAGpuWhereThereIsOne) {
  const std::vector<std::string> devices = usable_devices();
  const bool has_gpu = std::find(devices.begin(), devices.end(), "cuda") != devices.end();
  EXPECT_EQ(make_backend("auto")->device(), has_gpu ? Device::cuda : Device::cpu);
}

}  // namespace

}  // namespace cria::testing
