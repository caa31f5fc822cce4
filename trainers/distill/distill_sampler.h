// Samples answers without and with pre-prompts and scores them: fills a run's pool, which may be
// begun already.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "cria/dist/communicator.h"

#include "trainers/answer_engine.h"
#include "trainers/distill/distill_pool.h"

namespace cria {

class DistillSampler {
 public:
  // `rewards` are loaded by their owner.
  DistillSampler(const DistillConfig& config, std::span<const Prompt> prompts,
                 const Preprompts& preprompts, int64_t max_context, RewardModels& rewards,
                 const Tokenizer& tokenizer, Communicator& communicator, Backend& backend);

  void reserve(Arena& arena) { engine_.reserve(arena); }
  void load() { engine_.load(); }  // after the arena's allocation

  // Goes on after the prompts that stand in the pool. Collective; the ranks share the prompts, the
  // root writes. Returns 0, or the signal that ended it after a whole chunk.
  int fill(const std::string& pool, const StandingPrompts& standing);

 private:
  int64_t chunk_prompts() const;
  // Without scores; none when the listener ended it.
  std::vector<DistillPrompt> sample(std::span<const Prompt> prompts, const TokenListener& listener);
  void score(std::span<DistillPrompt> prompts);

  const DistillConfig& config_;
  const std::span<const Prompt> prompts_;
  const Preprompts& preprompts_;
  RewardModels& rewards_;
  const Tokenizer& tokenizer_;
  Communicator& communicator_;
  AnswerEngine engine_;
};

}  // namespace cria
