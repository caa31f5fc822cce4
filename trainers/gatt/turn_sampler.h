// Samples the answers of pieces and scores them, each rank its share.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "cria/dist/communicator.h"
#include "cria/report/progress.h"

#include "trainers/answer_engine.h"
#include "trainers/gatt/dialogue_pool.h"

namespace cria {

class TurnSampler {
 public:
  // `rewards`: none where answers are not scored. `first_sample`: the number of the first sample
  // in the keys of random numbers, so that two pools of the same dialogues draw others.
  TurnSampler(const GattConfig& config, AnswerEngine& engine, RewardModels* rewards,
              const Tokenizer& tokenizer, Communicator& communicator, int64_t num_samples,
              int64_t first_sample);

  // How much is to be done, for the progress on the terminal.
  void start(const PoolProgress& progress);

  // The lines of all ranks' answers; none after a signal. Collective.
  std::string answer(const Piece& piece);
  int signal() const { return signal_; }

 private:
  std::vector<SampledTurn> sample(const Piece& piece, size_t first, size_t last);
  void score(std::vector<SampledTurn>& turns, const Piece& piece, size_t first);
  void show();

  const GattConfig& config_;
  AnswerEngine& engine_;
  RewardModels* const rewards_;
  const Tokenizer& tokenizer_;
  Communicator& communicator_;
  const int64_t num_samples_;
  const int64_t first_sample_;
  std::unique_ptr<Progress> progress_;  // of the root
  std::chrono::steady_clock::time_point start_;
  int64_t done_ = 0;
  int64_t tokens_ = 0;
  int signal_ = 0;
};

}  // namespace cria
