// The first stage of an iteration: answers in pairs, rated, as data for the reward models.
//
//   answers.jsonl                 as sampled
//   pairs.jsonl, ratings.jsonl    out and back (rlhf/ratings.h); pairs of the same text are left
//   out helpful.jsonl, safety.jsonl   what reward models learn, by the prompt's category
//   held_out_helpful.jsonl, held_out_safety.jsonl     what they are tested on
#pragma once

#include <string>
#include <vector>

#include "cria/dist/communicator.h"

#include "trainers/rlhf/rlhf_config.h"

namespace cria {

// A model that answers.
struct NamedModel {
  std::string name;  // V0 for the one that all began with, the name of an iteration, or a directory
  std::string directory;
};

struct PreferenceCollection {
  const PreferencesConfig& config;
  std::string resolved_config;
  std::string name;                // of the iteration
  int64_t iteration = 1;           // its number
  int64_t first_pair = 0;          // pairs of the iterations before
  std::vector<NamedModel> models;  // each once
  std::string directory;
};

// Everything that it writes but config.yaml.
std::vector<std::string> collection_files(const std::string& directory);

// Returns 0, or the signal that ended it. An input Error when ratings that people are to write are
// not there yet: it says where, and how to go on.
int collect_preferences(const PreferenceCollection& collection, Communicator& communicator);

// A stage's config.yaml, for a stage that has no trainer. An input Error when the stage was begun
// with other settings.
void keep_stage_settings(const std::string& directory, const std::string& resolved_config);

}  // namespace cria
