// Log-probabilities of all answers of preference data under DPO's reference model, computed once
// and kept in a file beside the run.
#pragma once

#include <string>

#include "trainers/dpo_loss.h"
#include "trainers/pretrained_model.h"

namespace cria {

// By the pairs' numbers. Read from `cache`, where that was made with the same weights, precision
// and data; else each rank scores its share, and the root writes the file. What a pair scores
// depends neither on its company nor on the rank count. Collective.
std::vector<PairLogprobs> reference_logprobs(const std::string& model,
                                             const InferenceOptions& options,
                                             const PreferenceData& data, const std::string& cache,
                                             Communicator& communicator);

}  // namespace cria
