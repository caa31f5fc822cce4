// Answers of models to prompts, sampled into a file of JSON Lines that grows by chunks: what a kill
// leaves is continued, to the same bits.
//
//   {"answer": 0, "prompt": "…" or [messages], "temperature": 1, "completion": "…",
//    "completion_ids": […], "finished_by_eos": true}
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "cria/dist/communicator.h"
#include "cria/ops/backend.h"

#include "trainers/prompts.h"
#include "trainers/sampling_config.h"

namespace cria {

struct AnswerRequest {
  const Prompt* prompt = nullptr;
  uint64_t key = 0;  // of its random numbers
  double temperature = 1;
};

// Requests of one model, one after the other in the file.
struct AnswerJob {
  std::string model;  // directory
  std::vector<AnswerRequest> requests;
};

struct AnswerSettings {
  SamplingConfig sampling;
  int64_t max_context = 0;  // of prompt and answer
  uint64_t seed = 0;
  std::string precision = "fp32";
};

struct SampledAnswer {
  double temperature = 0;
  std::string completion;
  std::vector<int32_t> ids;
  bool finished_by_eos = false;
};

// Completes the file. Collective; the ranks share the work, the root writes. Returns 0, or the
// signal that ended it after a whole chunk.
int sample_answers(const std::string& path, std::span<const AnswerJob> jobs,
                   const AnswerSettings& settings, const Tokenizer& tokenizer,
                   Communicator& communicator, Backend& backend);

std::vector<SampledAnswer> read_sampled_answers(const std::string& path);

}  // namespace cria
