// Scoring passes and updates of PPO: a whole run on given answers against PyTorch, and what must be
// exact.
#include "trainers/ppo/ppo_passes.h"

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>

#include <gtest/gtest.h>

#include "cria/io/hugging_face.h"

#include "support/places.h"
#include "support/recorded_ranks.h"
#include "trainers/ppo/credit.h"

namespace cria {
namespace {

const std::string kGolden = testing::source_path("tests/golden/");

PpoConfig small_config(const std::string& precision = "fp32") {
  PpoConfig config;
  config.model.path = kGolden + "models/gqa_untied";
  config.data.max_length = 128;
  config.training.precision = precision;
  config.training.micro_batch_tokens = 128;
  config.training.train_batch_size = 6;
  config.optimizer.learning_rate = 1e-3;
  config.ppo.helpfulness = kGolden + "ppo/value_model";
  config.ppo.num_mini_batches = 2;
  config.ppo.response_length = 64;
  config.ppo.temperature = 0.7;
  return config;
}

// The models of a run, and answers to learn from.
class SmallPpo {
 public:
  explicit SmallPpo(const PpoConfig& config)
      : config_(config),
        backend_(make_backend("cpu")),
        communicator_(single_process_communicator()),
        reduction_(make_reduction(*communicator_, *backend_)),
        tokenizer_(kGolden + "tokenizer.model"),
        models(config_, read_model_config(config_.model.path), tokenizer_, *backend_),
        passes(models, *communicator_, *reduction_, config_) {
    models.prepare();
    models.load_start();
  }

  std::vector<MiniBatch> mini_batches(const RolloutBatch& batch) const {
    std::vector<size_t> order(batch.rollouts.size());
    std::iota(order.begin(), order.end(), size_t{0});
    return make_mini_batches(batch, order, config_.ppo.num_mini_batches,
                             config_.training.micro_batch_tokens, *communicator_);
  }

  // Scored, and given credit.
  std::vector<MiniBatch> prepare(RolloutBatch& batch) {
    std::vector<MiniBatch> ready = mini_batches(batch);
    set_rewards(batch.rollouts, config_);
    passes.score_tokens(batch, ready, [](int64_t, int64_t) {});
    assign_credit(batch, config_, config_.ppo.kl_coef);
    return ready;
  }

 private:
  const PpoConfig config_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Communicator> communicator_;
  std::unique_ptr<Reduction> reduction_;
  Tokenizer tokenizer_;

 public:
  PpoModels models;
  PpoPasses passes;
};

// The answers of the golden run.
class GivenRollouts {
 public:
  explicit GivenRollouts(const nlohmann::json& iteration) {
    for (const auto& given : iteration) {
      prompts_.push_back({.ids = given["prompt"].get<std::vector<int32_t>>()});
    }
    for (size_t i = 0; i < prompts_.size(); ++i) {
      rollouts_.push_back({.prompt = &prompts_[i],
                           .answer = iteration[i]["answer"].get<std::vector<int32_t>>(),
                           .finished_by_eos = iteration[i]["finished_by_eos"]});
      rollouts_.back().score.combined = iteration[i]["score"];
    }
  }
  RolloutBatch batch() const { return RolloutBatch(rollouts_); }

 private:
  std::vector<Prompt> prompts_;
  std::vector<Rollout> rollouts_;
};

nlohmann::json golden_run() {
  std::ifstream file(kGolden + "ppo/run.json");
  return nlohmann::json::parse(file);
}

void expect_close(double found, double truth, const std::string& what) {
  EXPECT_NEAR(found, truth, 1e-5 * std::max(1.0, std::abs(truth))) << what;
}

TEST(GoldenPpo, TwoIterationsOfTwoEpochs) {
  const nlohmann::json run = golden_run();
  const nlohmann::json& settings = run["settings"];
  PpoConfig config = small_config();
  config.ppo.temperature = settings["temperature"];
  config.ppo.kl_coef = settings["kl_coef"];
  config.ppo.cliprange = settings["cliprange"];
  config.ppo.cliprange_value = settings["cliprange_value"];
  config.ppo.vf_coef = settings["vf_coef"];
  config.ppo.gamma = settings["gamma"];
  config.ppo.lam = settings["lam"];
  config.ppo.num_mini_batches = settings["num_mini_batches"];
  config.optimizer.beta1 = settings["beta1"];
  config.optimizer.beta2 = settings["beta2"];
  config.optimizer.epsilon = settings["epsilon"];
  config.optimizer.weight_decay = settings["weight_decay"];
  config.optimizer.max_grad_norm = settings["max_grad_norm"];
  SmallPpo ppo(config);

  size_t step = 0;
  for (const auto& iteration : run["iterations"]) {
    const GivenRollouts given(iteration);
    RolloutBatch batch = given.batch();
    const std::vector<MiniBatch> mini_batches = ppo.prepare(batch);
    for (int64_t epoch = 0; epoch < settings["num_ppo_epochs"]; ++epoch) {
      for (const MiniBatch& mini_batch : mini_batches) {
        const auto& truth = run["steps"][step++];
        const UpdateFigures found = ppo.passes.update(batch, mini_batch, static_cast<int64_t>(step),
                                                      settings["learning_rate"]);
        for (const auto& [name, value] : {std::pair("policy_loss", found.policy_loss),
                                          {"value_loss", found.value_loss},
                                          {"policy_clipped", found.policy_clipped},
                                          {"value_clipped", found.value_clipped},
                                          {"approx_kl", found.approx_kl},
                                          {"ratio", found.ratio},
                                          {"policy_grad_norm", found.policy_grad_norm},
                                          {"value_grad_norm", found.value_grad_norm}}) {
          expect_close(value, truth[name], fmt::format("{} at step {}", name, step));
        }
      }
    }
  }
  ASSERT_EQ(step, run["steps"].size());

  size_t token = 0;
  size_t row = 0;
  for (const auto& ids : run["held_out"]) {
    Example sequence{.ids = ids.get<std::vector<int32_t>>()};
    sequence.labels = sequence.ids;
    const PackedBatch packed = pack(std::span(&sequence, 1));
    Learner& policy = ppo.models.policy();
    policy.forward(packed);
    const LanguageHead::Result result = policy.passes.language_head.forward(
        policy.model, policy.passes.activations, policy.passes.batch, settings["temperature"]);
    for (size_t i = 0; i + 1 < sequence.ids.size(); ++i) {
      expect_close(static_cast<double>(result.logprobs[i]), run["logprobs"][token++], "logprob");
    }
    Learner& value = ppo.models.value();
    value.forward(packed);
    std::vector<int32_t> rows(sequence.ids.size());
    std::iota(rows.begin(), rows.end(), 0);
    for (const float score :
         value.passes.score_head.forward(value.model, value.passes.activations, rows)) {
      expect_close(static_cast<double>(score), run["values"][row++], "value");
    }
  }
}

class PpoBits : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Precision, PpoBits, ::testing::Values("fp32", "bf16"),
                         [](const auto& which) { return which.param; });

TEST_P(PpoBits, KlIsZeroAtTheStartAndTheFirstRatioIsOne) {
  SmallPpo ppo(small_config(GetParam()));
  const GivenRollouts given(golden_run()["iterations"][0]);
  RolloutBatch batch = given.batch();
  const std::vector<MiniBatch> mini_batches = ppo.prepare(batch);
  EXPECT_EQ(batch.logprobs, batch.reference_logprobs);
  const UpdateFigures first = ppo.passes.update(batch, mini_batches[0], 1, 1e-3);
  EXPECT_EQ(first.ratio, 1.0);
  EXPECT_EQ(first.approx_kl, 0.0);
  EXPECT_EQ(first.policy_clipped, 0.0);
  const UpdateFigures second = ppo.passes.update(batch, mini_batches[1], 2, 1e-3);
  EXPECT_NE(second.ratio, 1.0);
  EXPECT_GT(second.approx_kl, 0.0);
  // The next iteration's policy is another, and again its own behaviour policy.
  RolloutBatch next = given.batch();
  const std::vector<MiniBatch> next_mini_batches = ppo.prepare(next);
  EXPECT_NE(next.logprobs, next.reference_logprobs);
  const UpdateFigures third = ppo.passes.update(next, next_mini_batches[0], 3, 1e-3);
  EXPECT_EQ(third.ratio, 1.0);
  EXPECT_EQ(third.approx_kl, 0.0);
}

// Scoring leaves the first update's pass behind. A copy of it is not known to be the same.
TEST_P(PpoBits, TheFirstUpdateGoesOnFromScoring) {
  const GivenRollouts given(golden_run()["iterations"][0]);
  std::vector<UpdateFigures> found;
  std::vector<std::vector<float>> logprobs;
  for (const bool is_known : {true, false}) {
    SmallPpo ppo(small_config(GetParam()));
    RolloutBatch batch = given.batch();
    const std::vector<MiniBatch> mini_batches = ppo.prepare(batch);
    const std::vector<MiniBatch> copies(mini_batches.begin(), mini_batches.end());
    Learner& policy = ppo.models.policy();
    if (!is_known) policy.forward(mini_batches[1].passes[0].packed);
    found.push_back(ppo.passes.update(batch, (is_known ? mini_batches : copies)[0], 1, 1e-3));
    // What the update made of the policy.
    policy.forward(copies[0].passes[0].packed);
    logprobs.push_back(policy.passes.language_head
                           .forward(policy.model, policy.passes.activations, policy.passes.batch)
                           .logprobs);
  }
  EXPECT_EQ(found[0].policy_loss, found[1].policy_loss);
  EXPECT_EQ(found[0].policy_grad_norm, found[1].policy_grad_norm);
  EXPECT_EQ(found[0].value_grad_norm, found[1].value_grad_norm);
  EXPECT_EQ(logprobs[0], logprobs[1]);

  // It is not repeated: what stands in its place is taken for it.
  SmallPpo ppo(small_config(GetParam()));
  RolloutBatch batch = given.batch();
  const std::vector<MiniBatch> mini_batches = ppo.prepare(batch);
  ppo.models.policy().forward(mini_batches[1].passes[0].packed);
  EXPECT_NE(ppo.passes.update(batch, mini_batches[0], 1, 1e-3).ratio, 1.0);
}

// In passes of which the last block keeps the rows of answers alone.
TEST_P(PpoBits, TheFirstRatioIsOneWhereFewRowsAreRead) {
  PpoConfig config = small_config(GetParam());
  config.data.max_length = 100;
  config.training.micro_batch_tokens = 512;
  SmallPpo ppo(config);
  std::vector<Prompt> prompts(6);
  std::vector<Rollout> rollouts;
  for (Prompt& prompt : prompts) {
    for (int32_t i = 0; i < 100; ++i) {
      const auto rollout = static_cast<int32_t>(rollouts.size());
      prompt.ids.push_back(4 + (rollout + 3) * i % 90);
    }
    rollouts.push_back({.prompt = &prompt, .answer = {50, 60, 70, 2}, .finished_by_eos = true});
    rollouts.back().score.combined = static_cast<float>(rollouts.size());
  }
  RolloutBatch batch(std::move(rollouts));
  const std::vector<MiniBatch> mini_batches = ppo.prepare(batch);
  ASSERT_EQ(mini_batches[0].passes[0].packed.tokens(), 384);
  EXPECT_EQ(batch.logprobs, batch.reference_logprobs);
  EXPECT_EQ(ppo.models.policy().passes.batch.kept_tokens(), 128);
  EXPECT_EQ(ppo.passes.update(batch, mini_batches[0], 1, 1e-3).ratio, 1.0);
}

TEST(PpoModels, TheValueModelStartsAsTheRewardModel) {
  SmallPpo ppo(small_config());
  Answer answer{.sequence = {.ids = {1, 40, 50, 60, 70, 2}}};
  const AnswerScore score = ppo.models.rewards().score(std::span(&answer, 1)).front();
  answer.sequence.labels.assign(answer.sequence.ids.size(), kNoLabel);
  Learner& value = ppo.models.value();
  value.forward(pack(std::span(&answer.sequence, 1)));
  const std::vector<float> values = value.passes.score_head.forward(
      value.model, value.passes.activations, std::vector<int32_t>{5});
  EXPECT_EQ(values.front(), score.combined);  // both in passes of 128 tokens
  EXPECT_NE(score.combined, 0.0f);
}

TEST(PpoModels, ModelsOfOneShapeShareTheirPasses) {
  SmallPpo ppo(small_config());
  EXPECT_EQ(&ppo.models.policy().passes, &ppo.models.value().passes);
  EXPECT_EQ(&ppo.models.policy().passes, &ppo.models.reference_passes());
  // Products are the same bits with the same choice of packed weights or not (ops/linear.h).
  const auto is_packed = [](const Model& model) {
    return static_cast<bool>(model.linear(model.weights.language_head()).packed_forward);
  };
  EXPECT_EQ(is_packed(ppo.models.policy().model), is_packed(ppo.models.reference()));
  PpoConfig config = small_config();
  config.ppo.reference_precision = "bf16";
  SmallPpo other(config);
  EXPECT_NE(&other.models.policy().passes, &other.models.reference_passes());
  EXPECT_EQ(other.models.reference().dtype(), DType::bf16);
}

// What the sampler drew with is what the passes find, temperature included.
TEST(PpoPasses, AgreeWithTheSampler) {
  const PpoConfig config = small_config();
  SmallPpo ppo(config);
  Prompt prompt;
  prompt.ids = {1, 40, 50, 60};
  std::vector<GenerationRequest> requests;
  for (uint64_t i = 0; i < 4; ++i) {
    requests.push_back({.prompt = prompt.ids,
                        .example = i,
                        .settings = {.temperature = 0.7f, .max_new_tokens = 20, .stop_ids = {2}}});
  }
  const std::vector<GenerationResult> results = ppo.models.generator().generate(requests);
  std::vector<Rollout> rollouts;
  for (const GenerationResult& result : results) {
    rollouts.push_back({.prompt = &prompt, .answer = result.tokens});
  }
  RolloutBatch batch(std::move(rollouts));
  ppo.prepare(batch);
  for (size_t i = 0; i < results.size(); ++i) {
    for (size_t t = 0; t < results[i].logprobs.size(); ++t) {
      EXPECT_NEAR(batch.logprobs[batch.token_offsets[i] + t], results[i].logprobs[t], 2e-5f);
    }
  }
}

// Policy and value model are summed as the last pass goes back through each; a rank without an
// answer of the mini-batch joins.
TEST(PpoPasses, RanksWithoutAPassMakeTheSameCalls) {
  const PpoConfig config = small_config();
  SmallPpo ppo(config);
  const GivenRollouts given(golden_run()["iterations"][0]);
  RolloutBatch batch = given.batch();
  const std::vector<MiniBatch> mini_batches = ppo.prepare(batch);
  const MiniBatch& with_passes = mini_batches.front();
  ASSERT_GE(with_passes.passes.size(), 1u);
  MiniBatch without = with_passes;
  without.passes.clear();

  const auto calls_of = [&](const MiniBatch& mini_batch) {
    testing::Calls calls;
    testing::RecordedCommunicator communicator(calls, 0, 2);
    testing::RecordedReduction reduction(calls, [&](Tensor gradients) {
      // Nothing is left to add: what the update will find is there.
      float sum = 0;
      for (int64_t i = 0; i < gradients.size(); ++i) sum += std::abs(gradients.as<float>()[i]);
      EXPECT_EQ(sum > 0, !mini_batch.passes.empty());
    });
    PpoPasses passes(ppo.models, communicator, reduction, config);
    passes.update(batch, mini_batch, 1, 1e-3);
    return calls;
  };
  const testing::Calls calls = calls_of(with_passes);
  EXPECT_EQ(calls.size(), 2u * (4 + 1) + 1) << "blocks, ends of the sums, the figures";
  // The policy's sums run beside the value model's pass: none is waited for before all are started.
  EXPECT_EQ(std::find(calls.begin(), calls.end(), "finish") - calls.begin(), 8);
  testing::Calls starts = calls;
  testing::Calls starts_without = calls_of(without);
  for (testing::Calls* list : {&starts, &starts_without}) std::erase(*list, "finish");
  EXPECT_EQ(starts, starts_without);
}

TEST(PpoPasses, ValuesAreReadWhereTheTokenIsPredicted) {
  SmallPpo ppo(small_config());
  const GivenRollouts given(golden_run()["iterations"][0]);
  RolloutBatch batch = given.batch();
  ppo.prepare(batch);
  // The value before an answer's first token cannot know the answer.
  std::vector<Rollout> others = batch.rollouts;
  for (Rollout& rollout : others) rollout.answer.front() = 17;
  RolloutBatch changed(others);
  ppo.prepare(changed);
  for (size_t i = 0; i < others.size(); ++i) {
    const size_t first = batch.token_offsets[i];
    EXPECT_EQ(batch.values[first], changed.values[first]);
    if (batch.rollouts[i].answer.size() > 1) {
      EXPECT_NE(batch.values[first + 1], changed.values[first + 1]);
    }
  }
}

}  // namespace
}  // namespace cria
