// Scores of older pools under the current reward models. A score is as good as the models that gave
// it: samples whose checksum is another are scored again, and the copies kept in the run's own
// directory, in the order in which they stand in the pools. The older pools stay as they are.
#pragma once

#include <string>
#include <vector>

#include "cria/dist/communicator.h"

#include "trainers/rejection/sample_pool.h"

namespace cria {

// How many samples of the pools have scores of other models than `reward_model`.
int64_t count_stale(const std::vector<std::string>& pools, const std::string& reward_model);

// What stands of an interrupted rescoring.
StandingPart standing_rescored(const std::string& path, const std::vector<std::string>& pools,
                               const std::string& reward_model);

// Completes the file of rescored samples. Collective; the root writes. Returns 0, or the signal
// that ended it. An input Error that names the line of a sample that the models cannot take.
int rescore(const std::vector<std::string>& pools, const std::string& path,
            const StandingPart& standing, int64_t stale, RewardModels& rewards,
            const Tokenizer& tokenizer, Communicator& communicator);

}  // namespace cria
