#include "trainers/reward_loss.h"

#include <algorithm>
#include <cmath>

#include "trainers/logistic.h"

namespace cria {

namespace {

// Table 27, in the order of Rating.
constexpr std::array<double, 4> kSmallMargins = {1.0, 2.0 / 3.0, 1.0 / 3.0, 0.0};
constexpr std::array<double, 4> kLargeMargins = {3.0, 2.0, 1.0, 0.0};

constexpr double kExploded = 100;  // times the loss of equal scores

}  // namespace

double margin_of(const PreferencePair& pair, const std::string& kind) {
  if (kind == "none") return 0;
  if (kind == "example") return static_cast<double>(pair.margin.value_or(0.0f));
  if (!pair.rating) return 0;
  return (kind == "small" ? kSmallMargins : kLargeMargins)[static_cast<size_t>(*pair.rating)];
}

std::array<std::optional<bool>, 2> RewardLoss::safety_labels(size_t pair) const {
  const PreferencePair& data = data_of(pair);
  return {data.chosen_safe, data.rejected_safe};
}

void RewardLoss::begin(std::span<const Group> batch, PassKind kind) {
  PreferenceObjective::begin(batch, kind);
  labelled_count_ = guess_loss_ = 0;
  for (size_t i = 0; i < pair_count(); ++i) {
    guess_loss_ += softplus(margin_of(data_of(i), options_.margin));
    if (!(options_.safety_loss_weight > 0)) continue;
    for (const std::optional<bool>& label : safety_labels(i)) labelled_count_ += label ? 1 : 0;
  }
  guess_loss_ /= static_cast<double>(pair_count());
}

std::array<double, 2> RewardLoss::gradients(size_t pair) const {
  const std::span<const double> scores = slots(pair);
  const auto count = static_cast<double>(pair_count());
  const double difference = scores[0] - scores[1] - margin_of(data_of(pair), options_.margin);
  const double ranking = -sigmoid(-difference) / count;
  const double centring = 2 * options_.center_rewards_coefficient * (scores[0] + scores[1]) / count;
  std::array<double, 2> result = {ranking + centring, -ranking + centring};
  if (!(labelled_count_ > 0)) return result;
  const auto labels = safety_labels(pair);
  for (size_t i = 0; i < 2; ++i) {
    if (!labels[i]) continue;
    const double probability = sigmoid(scores[i]);
    result[i] +=
        options_.safety_loss_weight * (probability - (*labels[i] ? 1 : 0)) / labelled_count_;
  }
  return result;
}

void RewardLoss::pass(Learner& learner, const MicroBatch& micro) {
  const std::vector<int32_t> rows = last_token_rows(micro.packed);
  learner.forward(micro.packed, rows);
  PassBuffers& passes = learner.passes;
  const std::vector<float> scores =
      passes.score_head.forward(learner.model, passes.activations, rows);
  std::vector<float> score_gradients;
  for (size_t g = 0; g < micro.groups.size(); ++g) {
    const size_t pair = pair_of(*micro.groups[g]);
    for (size_t i = 0; i < 2; ++i) {
      const float score = scores[2 * g + i];
      if (!std::isfinite(score)) {
        const std::string tensor = passes.activations.first_non_finite(learner.backend());
        throw failure("score",
                      fmt::format("it is {} in a pass of {} pairs; first bad tensor: {}", score,
                                  micro.groups.size(), tensor.empty() ? "score.weight" : tensor),
                      "lower optimizer.learning_rate or look at the data of this step");
      }
      slots(pair)[i] = static_cast<double>(score);
    }
    for (const double gradient : gradients(pair)) {
      score_gradients.push_back(static_cast<float>(gradient));
    }
  }
  if (kind() == PassKind::evaluation) return;
  passes.score_head.backward(learner.model, learner.optimizer.gradients(), passes.activations, rows,
                             score_gradients);
  learner.backward();
}

Figures RewardLoss::figures() const {
  double ranking = 0, centring = 0, safety = 0, safety_right = 0, right = 0, margin = 0, sum = 0;
  double least = slots(0)[0], most = least;
  for (size_t pair = 0; pair < pair_count(); ++pair) {
    const double chosen = slots(pair)[0];
    const double rejected = slots(pair)[1];
    ranking += softplus(-(chosen - rejected - margin_of(data_of(pair), options_.margin)));
    centring += (chosen + rejected) * (chosen + rejected);
    right += chosen > rejected ? 1 : 0;
    margin += chosen - rejected;
    sum += chosen + rejected;
    least = std::min({least, chosen, rejected});
    most = std::max({most, chosen, rejected});
    if (!(labelled_count_ > 0)) continue;
    const auto labels = safety_labels(pair);
    for (size_t i = 0; i < 2; ++i) {
      if (!labels[i]) continue;
      const double score = slots(pair)[i];
      safety += softplus(*labels[i] ? -score : score);
      safety_right += (score > 0) == *labels[i] ? 1 : 0;
    }
  }
  const auto count = static_cast<double>(pair_count());
  ranking /= count;
  if (kind() == PassKind::training && ranking > kExploded * guess_loss_) {
    throw failure("loss", fmt::format("it exploded to {:.4g}", ranking),
                  "lower optimizer.learning_rate or lengthen the warm-up");
  }
  double loss = ranking + options_.center_rewards_coefficient * centring / count;
  if (labelled_count_ > 0) loss += options_.safety_loss_weight * safety / labelled_count_;
  Figures figures = {
      {"loss", loss},        {"accuracy", right / count},        {"margin", margin / count},
      {"min_reward", least}, {"mean_reward", sum / (2 * count)}, {"max_reward", most}};
  if (labelled_count_ > 0) {
    figures.emplace_back("safety_loss", safety / labelled_count_);
    figures.emplace_back("safety_accuracy", safety_right / labelled_count_);
  }
  return figures;
}

JudgedPair RewardLoss::judged(size_t pair) const {
  return {.pair = &data_of(pair), .chosen = slots(pair)[0], .rejected = slots(pair)[1]};
}

}  // namespace cria
