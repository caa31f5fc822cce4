#include "trainers/gatt/dialogue_answerer.h"

#include <algorithm>

#include "trainers/gatt/gatt_files.h"

namespace cria {

NamedModel parse_model(const std::string& text) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos) return {text, text};
  return {text.substr(0, equals), text.substr(equals + 1)};
}

std::vector<GattDialogue> read_dialogues(const DialogueOptions& options) {
  GattConfig config = options.sampling;
  config.gatt.dialogues = {options.data};
  config.gatt.source = "dialogues";
  return read_dialogues(config, {}).dialogues;
}

DialogueAnswerer::DialogueAnswerer(const std::string& model, const DialogueOptions& options,
                                   Backend& backend, Communicator& communicator)
    : config_(options.sampling),
      communicator_(communicator),
      tokenizer_(model + "/tokenizer.model"),
      engine_(model, options.inference.precision,
              {.slots = config_.gatt.slots, .seed = config_.training.seed}, backend),
      room_(engine_.config().max_position_embeddings -
            std::min(config_.gatt.max_new_tokens, engine_.config().max_position_embeddings / 2)) {}

void DialogueAnswerer::reserve(Arena& arena) { engine_.reserve(arena); }

void DialogueAnswerer::load() { engine_.load(); }

std::vector<GattDialogue> DialogueAnswerer::answer(std::vector<GattDialogue> dialogues,
                                                   InstructedTurns turns, bool short_form) {
  int64_t wanted = 0;
  for (const GattDialogue& dialogue : dialogues) {
    wanted += static_cast<int64_t>(dialogue.said.turns.size());
  }
  TurnSampler sampler(config_, engine_, nullptr, tokenizer_, communicator_, 1, 0);
  sampler.start({.samples = 0, .wanted = wanted});
  const PoolOptions pool{
      .use = {.turns = turns, .short_form = short_form, .placement = config_.placement()},
      .room = room_,
      .chunk_dialogues = static_cast<int64_t>(dialogues.size())};
  go_through(dialogues, "", pool, tokenizer_,
             [&](const Piece& piece) { return sampler.answer(piece); });
  return dialogues;
}

GhostSequence DialogueAnswerer::told_once(const GattDialogue& dialogue) const {
  CRIA_ASSERT(!dialogue.kept.empty());
  const SampledTurn& last = dialogue.kept.back();
  const auto turn = static_cast<size_t>(last.turn);
  GhostSequence sequence = *ghost_prompt(dialogue.said, turn, {.placement = config_.placement()},
                                         tokenizer_, room_, dialogue.where);
  std::vector<int32_t>& ids = sequence.example.ids;
  sequence.answers.push_back({.turn = turn, .begin = ids.size(), .end = ids.size()});
  ids.insert(ids.end(), last.ids.begin(), last.ids.end());
  sequence.answers.back().end = ids.size();
  return sequence;
}

}  // namespace cria
