// A model that answers whole dialogues turn by turn: what the evaluations of Ghost Attention look
// at.
#pragma once

#include <string>
#include <vector>

#include "trainers/gatt/turn_sampler.h"
#include "trainers/pretrained_model.h"

namespace cria {

// Models side by side, and the dialogues that each of them answers.
struct DialogueOptions {
  std::vector<std::string> models;  // NAME=DIR, or DIR
  InferenceOptions inference;
  std::string data;     // {"messages", "instruction", "short"?, "instruction_kind"?, …}
  GattConfig sampling;  // of it the keys of sampling, placement and turns
};

struct NamedModel {
  std::string name;
  std::string directory;
};
NamedModel parse_model(const std::string& text);

// Each with its own instruction.
std::vector<GattDialogue> read_dialogues(const DialogueOptions& options);

class DialogueAnswerer {
 public:
  DialogueAnswerer(const std::string& model, const DialogueOptions& options, Backend& backend,
                   Communicator& communicator);

  void reserve(Arena& arena);
  void load();  // after the arena's allocation

  // The dialogues with the model's answers; after a signal, with some of them.
  std::vector<GattDialogue> answer(std::vector<GattDialogue> dialogues, InstructedTurns turns,
                                   bool short_form);

  // Up to and with the last answer, the instruction in its long form with the first turn: what the
  // model saw when it gave that answer. The dialogue must have one.
  GhostSequence told_once(const GattDialogue& dialogue) const;

  const Tokenizer& tokenizer() const { return tokenizer_; }

 private:
  const GattConfig& config_;
  Communicator& communicator_;
  Tokenizer tokenizer_;
  AnswerEngine engine_;
  const int64_t room_;  // of a prompt
};

}  // namespace cria
