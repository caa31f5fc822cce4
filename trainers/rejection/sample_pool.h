// The pool of a run: every answer that was sampled, chosen or not, with what it scored and which
// models sampled and scored it. JSON Lines that only ever grow, in the order of prompt and sample.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "trainers/reward_models.h"

namespace cria {

struct PooledSample {
  int64_t iteration = 0;
  int64_t prompt_number = 0;  // over all prompt files of the run, from 0
  int64_t sample = 0;         // of the prompt, from 0: temperature by temperature
  double temperature = 0;
  nlohmann::json prompt;  // as its file had it
  bool is_safety = false;
  std::string completion;               // text, for people
  std::vector<int32_t> prompt_ids;      // as the generator saw them
  std::vector<int32_t> completion_ids;  // as they were sampled, eos included
  bool finished_by_eos = false;
  AnswerScore score;
  std::string reward_model;  // checksums
  std::string generator;

  Answer answer() const;
};

std::string to_line(const PooledSample& sample);
// An input Error that names `where` and the field when a field is missing or wrong.
PooledSample parse_sample(const nlohmann::json& line, const std::string& where);

using SampleVisitor = std::function<void(PooledSample&&, const std::string& where)>;

// Every sample of a pool, in order.
void for_each_sample(const std::string& path, const SampleVisitor& visit);

// How much of a pool stands after an interruption: whole lines, one after the other those that
// `is_next(sample, n)` expects as number n, in pieces of `piece` lines.
struct StandingPart {
  int64_t samples = 0;
  int64_t bytes = 0;
};
StandingPart standing_part(const std::string& path, int64_t piece,
                           const std::function<bool(const PooledSample&, int64_t)>& is_next);

}  // namespace cria
