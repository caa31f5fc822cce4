#include "trainers/ppo/ppo_passes.h"

#include <cmath>
#include <utility>

#include "trainers/ppo/losses.h"

namespace cria {

namespace {

// Prompt and answer; the answer alone has labels.
Example sequence_of(const Rollout& rollout, size_t place) {
  Example sequence{.ids = rollout.prompt->ids, .item = static_cast<int64_t>(place)};
  sequence.labels.assign(sequence.ids.size(), kNoLabel);
  for (std::vector<int32_t>* list : {&sequence.ids, &sequence.labels}) {
    list->insert(list->end(), rollout.answer.begin(), rollout.answer.end());
  }
  return sequence;
}

std::vector<float> gather(const std::vector<float>& figures, std::span<const size_t> places) {
  std::vector<float> gathered;
  gathered.reserve(places.size());
  for (const size_t place : places) gathered.push_back(figures[place]);
  return gathered;
}

}  // namespace

std::vector<MiniBatch> make_mini_batches(const RolloutBatch& batch, std::span<const size_t> order,
                                         int64_t count, int64_t max_tokens,
                                         const Communicator& communicator) {
  const size_t size = order.size() / static_cast<size_t>(count);
  CRIA_ASSERT(size * static_cast<size_t>(count) == order.size());
  std::vector<MiniBatch> mini_batches(static_cast<size_t>(count));
  for (size_t i = 0; i < mini_batches.size(); ++i) {
    MiniBatch& mini_batch = mini_batches[i];
    for (const size_t place : order.subspan(i * size, size)) {
      mini_batch.groups.push_back({sequence_of(batch.rollouts[place], place)});
      mini_batch.token_count += static_cast<double>(batch.rollouts[place].answer.size());
    }
    mini_batch.passes =
        split(mini_batch.groups, max_tokens, communicator.rank(), communicator.size());
  }
  return mini_batches;
}

// Token j of an answer is predicted at the row of the token before it.
PpoPasses::AnswerTokens PpoPasses::answer_tokens(const RolloutBatch& batch,
                                                 const MicroBatch& pass) {
  AnswerTokens tokens;
  for (size_t s = 0; s < pass.groups.size(); ++s) {
    const auto rollout = static_cast<size_t>(pass.groups[s]->front().item);
    const size_t prompt = batch.rollouts[rollout].prompt->ids.size();
    const auto begin = static_cast<size_t>(pass.packed.sequence_offsets[s]);
    for (size_t j = 0; j < batch.rollouts[rollout].answer.size(); ++j) {
      tokens.rows.push_back(static_cast<int32_t>(begin + prompt - 1 + j));
      tokens.places.push_back(batch.token_offsets[rollout] + j);
    }
  }
  return tokens;
}

void PpoPasses::score_tokens(RolloutBatch& batch, std::span<const MiniBatch> mini_batches,
                             const std::function<void(int64_t, int64_t)>& progress) {
  const auto temperature = static_cast<float>(config_.ppo.temperature);
  const size_t N = batch.token_count();
  std::vector<double> found(4 * N, 0.0);  // this rank's; 0 elsewhere
  const std::span<double> logprobs(found.data(), N), reference_logprobs(found.data() + N, N),
      entropies(found.data() + 2 * N, N), values(found.data() + 3 * N, N);
  int64_t total = 0;
  int64_t done = 0;
  for (const MiniBatch& mini_batch : mini_batches) {
    total += static_cast<int64_t>(mini_batch.passes.size());
  }
  // Backwards, and the policy last: the first update begins with what is then in its activations.
  for (auto mini_batch = mini_batches.rbegin(); mini_batch != mini_batches.rend(); ++mini_batch) {
    for (auto next = mini_batch->passes.rbegin(); next != mini_batch->passes.rend(); ++next) {
      const MicroBatch& pass = *next;
      const auto [rows, places] = answer_tokens(batch, pass);
      const auto language_pass = [&, &rows = rows](const Model& model, PassBuffers& passes) {
        passes.forward(model, pass.packed, rows);
        return passes.language_head.forward(model, passes.activations, passes.batch, temperature);
      };
      Learner& value = models_.value();
      value.forward(pass.packed, rows);
      const std::vector<float> scores =
          value.passes.score_head.forward(value.model, value.passes.activations, rows);
      const LanguageHead::Result reference =
          language_pass(models_.reference(), models_.reference_passes());
      Learner& policy = models_.policy();
      const LanguageHead::Result current = language_pass(policy.model, policy.passes);
      scored_last_ = &pass;
      for (size_t i = 0; i < places.size(); ++i) {
        const auto row = static_cast<size_t>(rows[i]);
        const size_t token = places[i];
        logprobs[token] = static_cast<double>(current.logprobs[row]);
        entropies[token] = static_cast<double>(current.entropies[row]);
        reference_logprobs[token] = static_cast<double>(reference.logprobs[row]);
        values[token] = static_cast<double>(scores[i]);
      }
      progress(++done, total);
    }
  }
  communicator_.all_reduce_sum(std::span(found));
  for (size_t t = 0; t < N; ++t) {
    batch.logprobs[t] = static_cast<float>(logprobs[t]);
    batch.reference_logprobs[t] = static_cast<float>(reference_logprobs[t]);
    batch.entropies[t] = static_cast<float>(entropies[t]);
    batch.values[t] = static_cast<float>(values[t]);
  }
}

UpdateFigures PpoPasses::update(const RolloutBatch& batch, const MiniBatch& mini_batch,
                                int64_t step, double learning_rate) {
  const auto temperature = static_cast<float>(config_.ppo.temperature);
  Learner& policy = models_.policy();
  Learner& value = models_.value();
  policy.optimizer.zero_gradients();
  value.optimizer.zero_gradients();
  PolicyLossSums policy_sums;
  ValueLossSums value_sums;
  double entropy = 0;
  for (const MicroBatch& pass : mini_batch.passes) {
    const auto [rows, places] = answer_tokens(batch, pass);

    if (std::exchange(scored_last_, nullptr) != &pass) policy.forward(pass.packed, rows);
    std::vector<float> at_ratio_one(static_cast<size_t>(pass.packed.tokens()), 0.0f);
    std::vector<float> old_logprobs(at_ratio_one.size(), 0.0f);
    for (size_t i = 0; i < places.size(); ++i) {
      const auto row = static_cast<size_t>(rows[i]);
      at_ratio_one[row] =
          policy_gradient_at_ratio_one(batch.advantages[places[i]], mini_batch.token_count);
      old_logprobs[row] = batch.logprobs[places[i]];
    }
    const LanguageHead::Result current = policy.passes.language_head.forward_backward(
        policy.model, policy.optimizer.gradients(), policy.passes.activations, policy.passes.batch,
        {.gradients_at_ratio_one = at_ratio_one,
         .old_logprobs = old_logprobs,
         .cliprange = static_cast<float>(config_.ppo.cliprange)},
        temperature);
    std::vector<float> logprobs;
    for (const int32_t row : rows) {
      logprobs.push_back(current.logprobs[static_cast<size_t>(row)]);
      entropy += static_cast<double>(current.entropies[static_cast<size_t>(row)]);
    }
    const PolicyLossSums policy_pass =
        policy_loss(logprobs, gather(batch.logprobs, places), gather(batch.advantages, places),
                    config_.ppo.cliprange);
    check_finite(policy_pass.loss, "policy loss", policy);
    const bool is_last = &pass == &mini_batch.passes.back();
    if (is_last) policy.reduce_in_next_backward(reduction_);
    policy.backward();
    policy_sums.loss += policy_pass.loss;
    policy_sums.clipped += policy_pass.clipped;
    policy_sums.approx_kl += policy_pass.approx_kl;
    policy_sums.ratio += policy_pass.ratio;

    value.forward(pass.packed, rows);
    const std::vector<float> values =
        value.passes.score_head.forward(value.model, value.passes.activations, rows);
    std::vector<float> gradients(places.size());
    const ValueLossSums value_pass =
        value_loss(gradients, values, gather(batch.values, places), gather(batch.returns, places),
                   {.cliprange = config_.ppo.cliprange_value, .vf_coef = config_.ppo.vf_coef},
                   mini_batch.token_count);
    check_finite(value_pass.loss, "value loss", value);
    value.passes.score_head.backward(value.model, value.optimizer.gradients(),
                                     value.passes.activations, rows, gradients);
    if (is_last) value.reduce_in_next_backward(reduction_);
    value.backward();
    value_sums.loss += value_pass.loss;
    value_sums.clipped += value_pass.clipped;
  }

  // Before the figures, so that all ranks make their collective calls in one order.
  policy.finish_reduction(reduction_);
  value.finish_reduction(reduction_);

  double sums[] = {policy_sums.loss,
                   policy_sums.clipped,
                   policy_sums.approx_kl,
                   policy_sums.ratio,
                   value_sums.loss,
                   value_sums.clipped,
                   entropy};
  communicator_.all_reduce_sum(std::span<double>(sums));
  for (double& sum : sums) sum /= mini_batch.token_count;
  return {.policy_loss = sums[0],
          .value_loss = sums[4],
          .policy_clipped = sums[1],
          .value_clipped = sums[5],
          .approx_kl = sums[2],
          .ratio = sums[3],
          .entropy = sums[6],
          .policy_grad_norm = step_of(policy, "policy", step, learning_rate),
          .value_grad_norm = step_of(value, "value model", step, learning_rate)};
}

void PpoPasses::check_finite(double loss, const char* what, const Learner& learner) const {
  if (std::isfinite(loss)) return;
  const std::string tensor = learner.passes.activations.first_non_finite(learner.model.backend());
  throw failure(what,
                fmt::format("it is {}; first bad tensor: {}", loss,
                            tensor.empty() ? "what the head gives" : tensor),
                "lower optimizer.learning_rate");
}

// Each model has its gradient clipped by its own norm, which is returned.
double PpoPasses::step_of(Learner& learner, const char* what, int64_t step, double learning_rate) {
  Optimizer& optimizer = learner.optimizer;
  const double norm = optimizer.gradient_norm();
  if (!std::isfinite(norm)) {
    throw failure(fmt::format("gradient of the {}", what),
                  fmt::format("its norm is {}; first bad tensor: gradient of {}", norm,
                              optimizer.first_non_finite_gradient()),
                  "lower optimizer.learning_rate");
  }
  optimizer.update(step, learning_rate, norm);
  return norm;
}

}  // namespace cria
