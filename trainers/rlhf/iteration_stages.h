// The stages of all iterations, in order, with everything that they read and write known before the
// first of them begins.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "cria/dist/communicator.h"

#include "trainers/rlhf/ledger.h"
#include "trainers/rlhf/rlhf_config.h"

namespace cria {

struct IterationStage {
  StageFiles files;
  std::string settings;  // YAML of everything in force
  // Returns 0, or 128 + the signal that stopped it. Collective.
  std::function<int(Communicator&)> run;
};

// An input Error when a section lacks a key, names a model that there is not, or a file that is
// not there.
std::vector<IterationStage> iteration_stages(const RlhfRecipe& recipe);

// figures.json of an iteration.
std::string iteration_figures_path(const RlhfRecipe& recipe, size_t iteration);

}  // namespace cria
