// Which prompts an iteration collects preferences on, and who answers them: two different models
// where there are two, each at a temperature of its own (Llama 2, section 3.2.1). Everything is
// drawn by (seed, iteration, pair), so that a plan depends on nothing that was sampled.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "trainers/rlhf/rlhf_config.h"

namespace cria {

struct PlannedAnswer {
  size_t model = 0;
  double temperature = 0;
};

struct PlannedPair {
  int64_t number = 0;  // over all iterations, from 0
  size_t prompt = 0;
  std::array<PlannedAnswer, 2> answers;  // first and second, neither model more often the first
  bool held_out = false;                 // for testing reward models only
};

// The pairs of an iteration that come after `first` ones of earlier iterations. Prompts are taken
// in an order drawn once for all iterations, so that each asks others as long as there are any; the
// order is drawn anew each time that all were asked. An input Error when the iteration would ask
// one twice.
std::vector<PlannedPair> plan_pairs(const PreferencesConfig& config, int64_t iteration,
                                    int64_t first, size_t prompts, size_t models);

}  // namespace cria
