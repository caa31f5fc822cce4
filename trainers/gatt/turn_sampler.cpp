#include "trainers/gatt/turn_sampler.h"

#include "cria/text/continuation.h"
#include "cria/text/utf8.h"

#include "trainers/gatt/random_keys.h"
#include "trainers/sample_files.h"
#include "trainers/signals.h"

namespace cria {

TurnSampler::TurnSampler(const GattConfig& config, AnswerEngine& engine, RewardModels* rewards,
                         const Tokenizer& tokenizer, Communicator& communicator,
                         int64_t num_samples, int64_t first_sample)
    : config_(config),
      engine_(engine),
      rewards_(rewards),
      tokenizer_(tokenizer),
      communicator_(communicator),
      num_samples_(num_samples),
      first_sample_(first_sample) {}

void TurnSampler::start(const PoolProgress& progress) {
  start_ = std::chrono::steady_clock::now();
  done_ = progress.samples;
  if (communicator_.is_root()) {
    progress_ = std::make_unique<Progress>(
        "answer", progress.wanted, ProgressOptions{.stream = stdout, .done = progress.samples});
  }
}

// As if all ranks were as far as the root.
void TurnSampler::show() {
  if (!progress_) return;
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start_;
  progress_->update(done_, fmt::format("sampling  {:.0f} tokens/s",
                                       static_cast<double>(tokens_) / seconds.count()));
}

std::string TurnSampler::answer(const Piece& piece) {
  const auto count = static_cast<int64_t>(piece.dialogues.size());
  const auto first = static_cast<size_t>(count * communicator_.rank() / communicator_.size());
  const auto last = static_cast<size_t>(count * (communicator_.rank() + 1) / communicator_.size());
  const int64_t before = done_;
  std::vector<SampledTurn> turns = sample(piece, first, last);
  signal_ = agreed_stop_signal(communicator_);
  if (signal_ != 0) return {};
  if (rewards_ != nullptr) score(turns, piece, first);
  std::string lines;
  for (const SampledTurn& turn : turns) lines += to_line(turn);
  done_ = before + count * num_samples_;
  show();
  return gather_text(communicator_, lines);
}

std::vector<SampledTurn> TurnSampler::sample(const Piece& piece, size_t first, size_t last) {
  std::vector<GenerationRequest> requests;
  for (size_t i = first; i < last; ++i) {
    for (int64_t sample = 0; sample < num_samples_; ++sample) {
      requests.push_back(
          {.prompt = piece.prompts[i].example.ids,
           .example = turn_key(piece.dialogues[i]->number, piece.turn, first_sample_ + sample),
           .settings =
               config_.gatt.settings(config_.gatt.temperature, engine_.config().eos_token_id)});
    }
  }
  const std::vector<GenerationResult> results =
      engine_.generator().generate(requests, [&](const DrawnToken& token) {
        tokens_ += communicator_.size();
        if (token.last) done_ += communicator_.size();
        show();
        return stop_signal() != 0 ? AfterToken::end_all : AfterToken::go_on;
      });
  std::vector<SampledTurn> turns;
  for (size_t i = 0; i < results.size(); ++i) {
    if (!results[i].complete) return {};
    const size_t place = first + i / static_cast<size_t>(num_samples_);
    const GattDialogue& dialogue = *piece.dialogues[place];
    const GhostSequence& prompt = piece.prompts[place];
    const std::string text(
        strip(decode_continuation(tokenizer_, prompt.example.ids, results[i].tokens)));
    turns.push_back({.dialogue = dialogue.number,
                     .turn = piece.turn,
                     .sample = static_cast<int64_t>(i) % num_samples_,
                     .dropped_turns = static_cast<int64_t>(prompt.dropped),
                     .completion = text,
                     .ids = results[i].tokens,
                     .finished_by_eos = results[i].finished_by_eos,
                     .follows = config_.gatt.checker == "none" ||
                                follows_in_demo_world(dialogue.instruction, text),
                     .score = {}});
  }
  return turns;
}

void TurnSampler::score(std::vector<SampledTurn>& turns, const Piece& piece, size_t first) {
  std::vector<Answer> answers;
  for (size_t i = 0; i < turns.size(); ++i) {
    const size_t place = first + i / static_cast<size_t>(num_samples_);
    Answer answer{
        .sequence = {.ids = piece.prompts[place].example.ids, .labels = {}, .weights = {}},
        .is_safety_prompt = piece.dialogues[place]->is_safety};
    std::vector<int32_t>& ids = answer.sequence.ids;
    ids.insert(ids.end(), turns[i].ids.begin(), turns[i].ids.end());
    answers.push_back(std::move(answer));
  }
  const std::vector<AnswerScore> scores = rewards_->score(answers);
  for (size_t i = 0; i < turns.size(); ++i) turns[i].score = scores[i];
}

}  // namespace cria
