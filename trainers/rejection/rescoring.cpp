#include "trainers/rejection/rescoring.h"

#include <algorithm>

#include "cria/io/append_file.h"
#include "cria/io/checksum.h"
#include "cria/report/progress.h"

#include "trainers/sample_files.h"
#include "trainers/signals.h"

namespace cria {

namespace {

constexpr int64_t kPiece = 256;  // samples of a rank between two writes

void for_each_stale(const std::vector<std::string>& pools, const std::string& reward_model,
                    const SampleVisitor& visit) {
  for (const std::string& pool : pools) {
    for_each_sample(pool, [&](PooledSample&& sample, const std::string& where) {
      if (sample.reward_model != reward_model) visit(std::move(sample), where);
    });
  }
}

// Which answer it is, whatever it scored.
std::string identity(PooledSample sample) {
  sample.score = {};
  sample.reward_model.clear();
  return to_line(sample);
}

void check(const PooledSample& sample, const std::string& where, int64_t max_length,
           const Tokenizer& tokenizer) {
  const std::vector<int32_t> ids = sample.answer().sequence.ids;
  if (ids.empty()) throw input_error(where, "a sample without a token");
  if (static_cast<int64_t>(ids.size()) > max_length) {
    throw input_error(where,
                      fmt::format("{} tokens are more than the {} that the reward models and their "
                                  "passes take",
                                  ids.size(), max_length),
                      "leave the line out of the pool, or raise rejection.batch_tokens");
  }
  for (const int32_t id : ids) {
    if (id >= 0 && id < tokenizer.vocab_size()) continue;
    throw input_error(
        where,
        fmt::format("token id {} is outside the vocabulary of {}", id, tokenizer.vocab_size()),
        "is the pool of models with the same tokenizer?");
  }
}

class Rescorer {
 public:
  Rescorer(RewardModels& rewards, Communicator& communicator, AppendFile* file)
      : rewards_(rewards), communicator_(communicator), file_(file) {}

  // All ranks are given all samples; each scores its share of every piece.
  void add(PooledSample&& sample) { piece_.push_back(std::move(sample)); }
  bool is_full() const {
    return static_cast<int64_t>(piece_.size()) == kPiece * communicator_.size();
  }

  void flush() {
    const int64_t size = static_cast<int64_t>(piece_.size());
    const int64_t first = size * communicator_.rank() / communicator_.size();
    const int64_t last = size * (communicator_.rank() + 1) / communicator_.size();
    std::vector<Answer> answers;
    for (int64_t i = first; i < last; ++i) {
      answers.push_back(piece_[static_cast<size_t>(i)].answer());
    }
    const std::vector<AnswerScore> scores = rewards_.score(answers);
    std::string lines;
    for (int64_t i = first; i < last; ++i) {
      PooledSample& sample = piece_[static_cast<size_t>(i)];
      sample.score = scores[static_cast<size_t>(i - first)];
      sample.reward_model = rewards_.checksum();
      lines += to_line(sample);
    }
    lines = gather_text(communicator_, lines);
    if (file_) file_->append(lines);
    piece_.clear();
  }

 private:
  RewardModels& rewards_;
  Communicator& communicator_;
  AppendFile* const file_;  // of the root
  std::vector<PooledSample> piece_;
};

}  // namespace

int64_t count_stale(const std::vector<std::string>& pools, const std::string& reward_model) {
  int64_t count = 0;
  for_each_stale(pools, reward_model, [&](PooledSample&&, const std::string&) { ++count; });
  return count;
}

StandingPart standing_rescored(const std::string& path, const std::vector<std::string>& pools,
                               const std::string& reward_model) {
  std::vector<std::string> expected;
  for_each_stale(pools, reward_model, [&](PooledSample&& sample, const std::string&) {
    expected.push_back(sha256(identity(std::move(sample))));
  });
  return standing_part(path, 1, [&](const PooledSample& sample, int64_t number) {
    return number < static_cast<int64_t>(expected.size()) && sample.reward_model == reward_model &&
           sha256(identity(sample)) == expected[static_cast<size_t>(number)];
  });
}

int rescore(const std::vector<std::string>& pools, const std::string& path,
            const StandingPart& standing, int64_t stale, RewardModels& rewards,
            const Tokenizer& tokenizer, Communicator& communicator) {
  std::unique_ptr<AppendFile> file;
  std::unique_ptr<Progress> progress;
  if (communicator.is_root()) {
    file = std::make_unique<AppendFile>(path, standing.bytes);
    progress = std::make_unique<Progress>(
        "sample", stale, ProgressOptions{.stream = stdout, .done = standing.samples});
  }
  Rescorer rescorer(rewards, communicator, file.get());
  int64_t seen = 0;
  int signal = 0;
  const auto flush = [&] {
    rescorer.flush();
    if (progress) progress->update(seen, "scored again");
    signal = agreed_stop_signal(communicator);
  };
  for_each_stale(pools, rewards.checksum(), [&](PooledSample&& sample, const std::string& where) {
    if (signal != 0 || seen++ < standing.samples) return;
    check(sample, where, rewards.max_length(), tokenizer);
    rescorer.add(std::move(sample));
    if (rescorer.is_full()) flush();
  });
  if (signal == 0) flush();
  return signal;
}

}  // namespace cria
