// How reward models get better with data and with size (Llama 2, figure 6): one run for each model
// and each share of an epoch. The shares are beginnings of the same shuffled order, each with a
// learning-rate schedule of its own.
//
// Every run is a directory of its own, so that one which is there already is not run again.
#pragma once

#include <string>
#include <vector>

namespace cria {

struct RewardScalingOptions {
  std::string recipe;                    // of `cria reward`; output_dir holds all runs
  std::vector<std::string> assignments;  // --set
  std::vector<double> shares = {0.25, 0.5, 1};
  std::vector<std::string> models;  // directories to start from; empty: the recipe's
};

// Leaves in output_dir: model1-share0.25/ …, scaling.json, scaling.txt and the plots. Returns the
// exit code of the run that ended early, else 0.
int reward_scaling(const RewardScalingOptions& options);

}  // namespace cria
