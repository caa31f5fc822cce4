#include "trainers/gatt/dialogue_pool.h"

#include <algorithm>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <tuple>

#include "cria/io/append_file.h"

namespace cria {

namespace {

using nlohmann::json;

// The lines of a pool up to the first that is not whole.
class StandingTurns {
 public:
  explicit StandingTurns(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    // eof() after getline() means that the line had no end.
    for (std::string text; std::getline(file, text) && !file.eof();) {
      const json line = json::parse(text, nullptr, /*allow_exceptions=*/false);
      if (line.is_discarded()) break;
      const std::string where = fmt::format("{}:{}", path, turns_.size() + 1);
      turns_.push_back(parse_sampled_turn(line, where));
      ends_.push_back((ends_.empty() ? 0 : ends_.back()) + static_cast<int64_t>(text.size()) + 1);
    }
  }

  // The next piece, where all of it stands.
  std::vector<SampledTurn> next(const Piece& piece, int64_t num_samples) {
    const size_t count = piece.dialogues.size() * static_cast<size_t>(num_samples);
    if (used_ + count > turns_.size()) return {};
    for (size_t i = 0; i < count; ++i) {
      const SampledTurn& turn = turns_[used_ + i];
      const auto sample = static_cast<int64_t>(i) % num_samples;
      const GattDialogue& dialogue = *piece.dialogues[i / static_cast<size_t>(num_samples)];
      if (turn.dialogue != dialogue.number || turn.turn != piece.turn || turn.sample != sample) {
        return {};
      }
    }
    const auto first = turns_.begin() + static_cast<std::ptrdiff_t>(used_);
    used_ += count;
    return {std::make_move_iterator(first),
            std::make_move_iterator(first + static_cast<std::ptrdiff_t>(count))};
  }

  void stop() { turns_.resize(used_); }  // what comes behind is sampled again
  int64_t used() const { return static_cast<int64_t>(used_); }
  int64_t used_bytes() const { return used_ == 0 ? 0 : ends_[used_ - 1]; }

 private:
  std::vector<SampledTurn> turns_;
  std::vector<int64_t> ends_;  // in bytes
  size_t used_ = 0;
};

bool ranks_before(const SampledTurn& a, const SampledTurn& b) {
  return std::tuple(!a.finished_by_eos, !a.follows, -a.score.combined, a.sample) <
         std::tuple(!b.finished_by_eos, !b.follows, -b.score.combined, b.sample);
}

std::vector<SampledTurn> parsed(const std::string& lines) {
  std::vector<SampledTurn> turns;
  std::istringstream stream(lines);
  for (std::string line; std::getline(stream, line);) {
    turns.push_back(parse_sampled_turn(json::parse(line), "an answer"));
  }
  return turns;
}

void keep_best(std::vector<GattDialogue>& dialogues, const Piece& piece,
               std::vector<SampledTurn> turns, const PoolOptions& options) {
  const auto samples = static_cast<std::ptrdiff_t>(options.num_samples);
  auto begin = turns.begin();
  for (const GattDialogue* answered : piece.dialogues) {
    // Dialogues stand in the order of their numbers.
    GattDialogue& dialogue = dialogues[answered->number - dialogues.front().number];
    const auto best = std::min_element(begin, begin + samples, ranks_before);
    if (options.keep_history) {
      dialogue.said.turns[static_cast<size_t>(piece.turn)].answer_ids = best->ids;
    }
    dialogue.kept.push_back(std::move(*best));
    begin += samples;
  }
}

bool is_asked(const GattDialogue& dialogue, int64_t turn, const PoolOptions& options) {
  const auto turns = static_cast<int64_t>(dialogue.said.turns.size());
  if (turn >= turns || (options.last_only && turn + 1 < turns)) return false;
  // One whose context was full is not gone on with.
  return options.last_only || static_cast<int64_t>(dialogue.kept.size()) == turn;
}

Piece piece_of(std::span<const GattDialogue> chunk, int64_t turn, const PoolOptions& options,
               const Tokenizer& tokenizer) {
  Piece piece{.turn = turn, .dialogues = {}, .prompts = {}};
  for (const GattDialogue& dialogue : chunk) {
    if (!is_asked(dialogue, turn, options)) continue;
    auto prompt = ghost_prompt(dialogue.said, static_cast<size_t>(turn), options.use, tokenizer,
                               options.room, dialogue.where);
    if (!prompt) continue;
    piece.dialogues.push_back(&dialogue);
    piece.prompts.push_back(std::move(*prompt));
  }
  return piece;
}

template <typename T>
T field(const json& line, const char* name, const std::string& where) {
  try {
    return line.at(name).get<T>();
  } catch (const json::exception&) {
    throw input_error(where, fmt::format("field '{}' is missing or wrong", name),
                      "a line of a pool, as `cria gatt` writes it");
  }
}

}  // namespace

std::string to_line(const SampledTurn& t) {
  return fmt::format(
      "{{\"dialogue\": {}, \"turn\": {}, \"sample\": {}, \"dropped_turns\": {}, \"completion\": "
      "{}, \"completion_ids\": [{}], \"finished_by_eos\": {}, \"follows\": {}, \"score\": {}, "
      "\"helpfulness\": {}, \"safety\": {}}}\n",
      t.dialogue, t.turn, t.sample, t.dropped_turns, json(t.completion).dump(),
      fmt::join(t.ids, ", "), t.finished_by_eos, t.follows, t.score.combined, t.score.helpfulness,
      t.score.safety);
}

SampledTurn parse_sampled_turn(const json& line, const std::string& where) {
  return {.dialogue = field<int64_t>(line, "dialogue", where),
          .turn = field<int64_t>(line, "turn", where),
          .sample = field<int64_t>(line, "sample", where),
          .dropped_turns = field<int64_t>(line, "dropped_turns", where),
          .completion = field<std::string>(line, "completion", where),
          .ids = field<std::vector<int32_t>>(line, "completion_ids", where),
          .finished_by_eos = field<bool>(line, "finished_by_eos", where),
          .follows = field<bool>(line, "follows", where),
          .score = {.combined = field<float>(line, "score", where),
                    .helpfulness = field<float>(line, "helpfulness", where),
                    .safety = field<float>(line, "safety", where)}};
}

PoolProgress go_through(std::vector<GattDialogue>& dialogues, const std::string& path,
                        const PoolOptions& options, const Tokenizer& tokenizer,
                        const AnswerPiece& answer, bool writes) {
  PoolProgress progress;
  for (GattDialogue& dialogue : dialogues) {
    dialogue.kept.clear();
    for (DialogueTurn& turn : dialogue.said.turns) turn.answer_ids.clear();
    progress.wanted += options.num_samples *
                       (options.last_only ? 1 : static_cast<int64_t>(dialogue.said.turns.size()));
  }
  StandingTurns standing(path);
  std::unique_ptr<AppendFile> file;
  const auto total = static_cast<int64_t>(dialogues.size());
  for (int64_t begin = 0; begin < total; begin += options.chunk_dialogues) {
    const int64_t end = std::min(begin + options.chunk_dialogues, total);
    const auto chunk =
        std::span(dialogues).subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin));
    size_t turns = 0;
    for (const GattDialogue& dialogue : chunk) turns = std::max(turns, dialogue.said.turns.size());
    for (int64_t turn = 0; turn < static_cast<int64_t>(turns); ++turn) {
      const Piece piece = piece_of(chunk, turn, options, tokenizer);
      if (piece.dialogues.empty()) continue;
      std::vector<SampledTurn> answers = standing.next(piece, options.num_samples);
      progress.samples = standing.used();
      if (answers.empty()) {
        if (!answer) return progress;
        standing.stop();
        const std::string lines = answer(piece);
        if (lines.empty()) return progress;
        if (writes) {
          if (!file) file = std::make_unique<AppendFile>(path, standing.used_bytes());
          file->append(lines);
        }
        answers = parsed(lines);
      }
      keep_best(dialogues, piece, std::move(answers), options);
    }
  }
  progress.complete = true;
  return progress;
}

}  // namespace cria
