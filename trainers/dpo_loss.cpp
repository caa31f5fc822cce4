#include "trainers/dpo_loss.h"

#include <algorithm>
#include <cmath>

#include "trainers/logistic.h"

namespace cria {

namespace {

// Slots of a pair.
enum Slot { policy_chosen, policy_rejected, reference_chosen, reference_rejected, slot_count };

constexpr double kExploded = 100;  // times the loss of a policy that equals its reference

// Tokens of an answer: those that carry weight.
double answer_tokens(const Example& sequence) {
  double count = 0;
  for (size_t i = 1; i < sequence.ids.size(); ++i) count += sequence.weight(i) > 0 ? 1 : 0;
  return count;
}

// Of sequence s of a pack.
double answer_logprob(const PackedBatch& packed, size_t s, std::span<const float> logprobs) {
  double sum = 0;
  for (auto t = static_cast<size_t>(packed.sequence_offsets[s]);
       t < static_cast<size_t>(packed.sequence_offsets[s + 1]); ++t) {
    if (packed.weights[t] > 0) sum += static_cast<double>(logprobs[t]);
  }
  return sum;
}

}  // namespace

DpoLoss::DpoLoss(const DpoOptions& options, const PreferenceData& data, DpoReference reference)
    : PreferenceObjective(data, slot_count), options_(options), reference_(std::move(reference)) {}

std::array<double, 2> DpoLoss::lengths(size_t pair) const {
  if (options_.loss_type == "sigmoid") return {1, 1};
  return {std::max(1.0, answer_tokens(data_of(pair).chosen)),
          std::max(1.0, answer_tokens(data_of(pair).rejected))};
}

double DpoLoss::difference(size_t pair) const {
  const std::span<const double> logprobs = slots(pair);
  const auto [chosen, rejected] = lengths(pair);
  return (logprobs[policy_chosen] - logprobs[reference_chosen]) / chosen -
         (logprobs[policy_rejected] - logprobs[reference_rejected]) / rejected;
}

double DpoLoss::loss(double difference) const {
  const double beta = options_.beta;
  if (options_.loss_type == "ipo") return std::pow(difference - 1 / (2 * beta), 2);
  const double smoothing = options_.label_smoothing;
  return (1 - smoothing) * softplus(-beta * difference) + smoothing * softplus(beta * difference);
}

double DpoLoss::loss_gradient(double difference) const {
  const double beta = options_.beta;
  if (options_.loss_type == "ipo") return 2 * (difference - 1 / (2 * beta));
  return beta * (sigmoid(beta * difference) - (1 - options_.label_smoothing));
}

void DpoLoss::pass(Learner& learner, const MicroBatch& micro) {
  PassBuffers& passes = learner.passes;
  const PackedBatch& packed = micro.packed;
  const auto logprobs_of = [&](const Model& model) {
    passes.forward(model, packed);
    return passes.language_head.forward(model, passes.activations, passes.batch).logprobs;
  };
  const auto* model = std::get_if<const Model*>(&reference_);
  const std::vector<float> of_reference =
      model != nullptr ? logprobs_of(**model) : std::vector<float>();
  const std::vector<float> of_policy = logprobs_of(learner.model);  // last: backward needs its pass

  std::vector<float> gradients(packed.weights.size(), 0.0f);
  for (size_t g = 0; g < micro.groups.size(); ++g) {
    const size_t pair = pair_of(*micro.groups[g]);
    const std::span<double> values = slots(pair);
    for (size_t i = 0; i < 2; ++i) {
      values[policy_chosen + i] = answer_logprob(packed, 2 * g + i, of_policy);
      if (model == nullptr) continue;
      values[reference_chosen + i] = answer_logprob(packed, 2 * g + i, of_reference);
    }
    if (model == nullptr) {
      const auto& known = std::get<0>(reference_)[static_cast<size_t>(item_of(pair))];
      values[reference_chosen] = known.chosen;
      values[reference_rejected] = known.rejected;
    }
    const double u = difference(pair);
    if (!std::isfinite(u)) {
      const std::string tensor = passes.activations.first_non_finite(learner.backend());
      throw failure(
          "log-probabilities",
          fmt::format("their difference is {} in a pass of {} pairs; first bad tensor: {}", u,
                      micro.groups.size(), tensor.empty() ? "the logits" : tensor),
          "lower optimizer.learning_rate or look at the data of this step");
    }
    const double slope = loss_gradient(u) / static_cast<double>(pair_count());
    for (size_t i = 0; i < 2; ++i) {
      const auto gradient = static_cast<float>((i == 0 ? slope : -slope) / lengths(pair)[i]);
      for (auto t = static_cast<size_t>(packed.sequence_offsets[2 * g + i]);
           t < static_cast<size_t>(packed.sequence_offsets[2 * g + i + 1]); ++t) {
        if (packed.weights[t] > 0) gradients[t] = gradient;
      }
    }
  }
  if (kind() == PassKind::evaluation) return;
  passes.language_head.backward(learner.model, learner.optimizer.gradients(), passes.activations,
                                passes.batch, gradients);
  learner.backward();
}

Figures DpoLoss::figures() const {
  double total = 0, chosen = 0, rejected = 0, right = 0, chosen_logp = 0, rejected_logp = 0;
  for (size_t pair = 0; pair < pair_count(); ++pair) {
    const JudgedPair rewards = judged(pair);
    total += loss(difference(pair));
    chosen += rewards.chosen;
    rejected += rewards.rejected;
    right += rewards.chosen > rewards.rejected ? 1 : 0;
    chosen_logp += slots(pair)[policy_chosen];
    rejected_logp += slots(pair)[policy_rejected];
  }
  const auto count = static_cast<double>(pair_count());
  if (kind() == PassKind::training && total / count > kExploded * loss(0)) {
    throw failure("loss", fmt::format("it exploded to {:.4g}", total / count),
                  "lower optimizer.learning_rate or lengthen the warm-up");
  }
  return {{"loss", total / count},
          {"rewards/chosen", chosen / count},
          {"rewards/rejected", rejected / count},
          {"rewards/accuracies", right / count},
          {"rewards/margins", (chosen - rejected) / count},
          {"logps/chosen", chosen_logp / count},
          {"logps/rejected", rejected_logp / count}};
}

JudgedPair DpoLoss::judged(size_t pair) const {
  const std::span<const double> logprobs = slots(pair);
  return {.pair = &data_of(pair),
          .chosen = options_.beta * (logprobs[policy_chosen] - logprobs[reference_chosen]),
          .rejected = options_.beta * (logprobs[policy_rejected] - logprobs[reference_rejected])};
}

}  // namespace cria
