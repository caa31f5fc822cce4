// Samples answers to prompts and scores them: fills a run's pool, which may be begun already.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cria/dist/communicator.h"

#include "trainers/answer_engine.h"
#include "trainers/prompts.h"
#include "trainers/rejection/rejection_config.h"
#include "trainers/rejection/sample_pool.h"

namespace cria {

// The key of the random numbers of a sample, which differ between iterations.
constexpr uint64_t sample_key(int64_t iteration, uint32_t prompt, int64_t sample) {
  return sample_example(prompt, static_cast<uint32_t>(iteration << 20 | sample));
}

// The prompts of all files, numbered on from one to the next.
struct NumberedPrompts {
  std::vector<Prompt> prompts;
  int64_t skipped = 0;
  std::string first_skipped;
};

// A prompt that `check` throws at is a bad line. An input Error when a file has no prompts.
NumberedPrompts read_numbered_prompts(const std::vector<std::string>& paths,
                                      const PromptOptions& form, const Tokenizer& tokenizer,
                                      const std::function<void(const Prompt&)>& check);

// `max_context` bounds prompt and answer together: a prompt that leaves no room for an answer is a
// bad line.
NumberedPrompts read_numbered_prompts(const RejectionConfig& config, const ModelConfig& generator,
                                      int64_t max_context, const Tokenizer& tokenizer);

class AnswerSampler {
 public:
  // `rewards` are loaded by their owner.
  AnswerSampler(const RejectionConfig& config, const NumberedPrompts& prompts, int64_t max_context,
                std::string generator_checksum, RewardModels& rewards, const Tokenizer& tokenizer,
                Communicator& communicator, Backend& backend);

  void reserve(Arena& arena) { engine_.reserve(arena); }
  void load() { engine_.load(); }  // after the arena's allocation

  // Goes on after what stands of the pool: whole prompts. Collective; the root writes. Returns 0,
  // or the signal that ended it after a whole chunk.
  int fill(const std::string& pool, const StandingPart& standing);

 private:
  int64_t chunk_prompts() const;
  // Without scores; none when the listener ended it.
  std::vector<PooledSample> sample(std::span<const Prompt> prompts, const TokenListener& listener);
  std::string scored_lines(std::vector<PooledSample> samples);

  const RejectionConfig& config_;
  const std::vector<Prompt>& prompts_;
  const std::string generator_checksum_;
  RewardModels& rewards_;
  const Tokenizer& tokenizer_;
  Communicator& communicator_;
  AnswerEngine engine_;
};

}  // namespace cria
