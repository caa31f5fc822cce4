#include "trainers/rlhf/pair_plan.h"

#include <numeric>

#include "cria/core/random.h"

namespace cria {

namespace {

constexpr uint64_t kFirstKey = uint64_t{1} << 62;  // beyond those of mixtures of data

// Drawn for each time that all prompts are gone through.
std::vector<size_t> prompt_order(uint64_t seed, int64_t pass, size_t prompts) {
  std::vector<size_t> order(prompts);
  std::iota(order.begin(), order.end(), size_t{0});
  const Random random(seed, Purpose::data_shuffle, kFirstKey + static_cast<uint64_t>(pass));
  for (size_t i = prompts; i > 1; --i) std::swap(order[i - 1], order[random.below(i, i)]);
  return order;
}

}  // namespace

std::vector<PlannedPair> plan_pairs(const PreferencesConfig& config, int64_t iteration,
                                    int64_t first, size_t prompts, size_t models) {
  const auto& p = config.preferences;
  if (p.pairs > static_cast<int64_t>(prompts)) {
    throw input_error(
        "preferences.pairs",
        fmt::format("{} are more than the {} prompts of an iteration", p.pairs, prompts),
        "a prompt is asked once an iteration: give more prompts or fewer pairs");
  }
  const Random random(config.training.seed, Purpose::data_mixture,
                      kFirstKey + static_cast<uint64_t>(iteration));
  std::vector<PlannedPair> pairs;
  std::vector<size_t> order;
  int64_t order_pass = -1;
  for (int64_t n = 0; n < p.pairs; ++n) {
    const int64_t number = first + n;
    const int64_t pass = number / static_cast<int64_t>(prompts);
    if (pass != order_pass) order = prompt_order(config.training.seed, pass, prompts);
    order_pass = pass;

    uint64_t position = static_cast<uint64_t>(n) * 8;
    PlannedPair pair{.number = number, .prompt = order[static_cast<size_t>(number) % prompts]};
    pair.answers[0].model = random.below(models, position++);
    const size_t others = models > 1 ? 1 + random.below(models - 1, position) : 0;
    ++position;
    pair.answers[1].model = (pair.answers[0].model + others) % models;
    for (PlannedAnswer& answer : pair.answers) {
      answer.temperature = p.temperatures[random.below(p.temperatures.size(), position++)];
    }
    pair.held_out = random.uniform(position) < static_cast<float>(p.held_out);
    pairs.push_back(pair);
  }
  return pairs;
}

}  // namespace cria
