#include "trainers/token_loss.h"

#include <cmath>

namespace cria {

// A uniform guess loses ln V; ten times that is no learning any more.
TokenLoss::TokenLoss(const ModelConfig& config)
    : loss_limit_(10 * std::log(static_cast<double>(config.vocab_size) + 1)) {}

std::vector<Group> TokenLoss::groups(std::vector<Row> rows) const {
  std::vector<Group> groups;
  for (Row& row : rows) {
    for (Example& example : row) {
      groups.emplace_back();
      groups.back().push_back(std::move(example));
    }
  }
  return groups;
}

void TokenLoss::begin(std::span<const Group> batch, PassKind kind) {
  kind_ = kind;
  weight_sum_ = token_count_ = loss_ = entropy_ = correct_ = 0;
  for (const Group& group : batch) {
    for (const Example& example : group) {
      for (size_t i = 1; i < example.ids.size(); ++i) {
        const double weight = static_cast<double>(example.weight(i));
        weight_sum_ += weight;
        token_count_ += weight > 0 ? 1 : 0;
      }
    }
  }
  if (!(weight_sum_ > 0)) {
    throw input_error("data.train", "a batch has no token to learn",
                      "give examples with answers, or a larger training.train_batch_size");
  }
}

void TokenLoss::pass(Learner& learner, const MicroBatch& micro) {
  const PackedBatch& packed = micro.packed;
  learner.forward(packed, target_rows(packed));
  LanguageHead::Result result;
  if (kind_ == PassKind::training) {
    std::vector<float> gradients(packed.weights.size());
    for (size_t t = 0; t < gradients.size(); ++t) {
      gradients[t] = static_cast<float>(-static_cast<double>(packed.weights[t]) / weight_sum_);
    }
    result = learner.passes.language_head.forward_backward(
        learner.model, learner.optimizer.gradients(), learner.passes.activations,
        learner.passes.batch, gradients);
  } else {
    result = learner.passes.language_head.forward(learner.model, learner.passes.activations,
                                                  learner.passes.batch);
  }
  double loss = 0;
  for (size_t t = 0; t < packed.weights.size(); ++t) {
    if (!(packed.weights[t] > 0)) continue;
    loss -= static_cast<double>(packed.weights[t]) * static_cast<double>(result.logprobs[t]);
    entropy_ += static_cast<double>(result.entropies[t]);
    correct_ += result.predictions[t] == packed.targets[t] ? 1 : 0;
  }
  loss_ += loss;
  if (!std::isfinite(loss)) {
    const std::string tensor = learner.passes.activations.first_non_finite(learner.backend());
    throw failure("loss",
                  fmt::format("it is {} in a pass of {} sequences; first bad tensor: {}", loss,
                              packed.sequence_count, tensor.empty() ? "the logits" : tensor),
                  "lower optimizer.learning_rate or look at the data of this step");
  }
  if (kind_ == PassKind::training) learner.backward();
}

Figures TokenLoss::end(Communicator& communicator) {
  double sums[] = {loss_, entropy_, correct_};
  communicator.all_reduce_sum(std::span<double>(sums));
  const double loss = sums[0] / weight_sum_;
  if (loss > loss_limit_) {
    throw failure("loss", fmt::format("it exploded to {:.4g}", loss),
                  "lower optimizer.learning_rate or lengthen the warm-up");
  }
  Figures figures = {{"loss", loss}};
  if (kind_ == PassKind::evaluation) figures.emplace_back("perplexity", std::exp(loss));
  figures.emplace_back("entropy", sums[1] / token_count_);
  figures.emplace_back("mean_token_accuracy", sums[2] / token_count_);
  return figures;
}

}  // namespace cria
