// Ghost Attention (Llama 2, section 3.3): dialogues that hold to an instruction, from the answers
// of a model that was told it again and again.
//
//   sampling   [INST] I u1 [/INST] a1  [INST] I u2 [/INST] a2  …  [INST] I un [/INST]
//   training   [INST] I u1 [/INST] a1  [INST] u2 [/INST] a2    …  [INST] un [/INST] an
//
// with the instruction I in its long form when sampling and in its long or short form when
// training, where the last answer and its eos alone carry loss: the earlier answers were given to
// other texts than stand there now.
//
// When a dialogue no longer fits, its first turn, which has the instruction, stays, and the oldest
// of the others go.
#pragma once

#include <cstdint>
#include <limits>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cria/data/example.h"
#include "cria/text/chat_template.h"
#include "cria/text/tokenizer.h"

namespace cria {

struct DialogueTurn {
  std::string user;
  std::string answer;  // text
  // As a model sampled them: where there are any they stand for the text. One that was cut short
  // gets its eos where a turn follows.
  std::vector<int32_t> answer_ids;
};

struct InstructedDialogue {
  std::string system;  // of the dialogue itself; empty: none
  std::vector<DialogueTurn> turns;
  std::string long_form;   // of the instruction; empty: none
  std::string short_form;  // empty: none, the long form serves
};

// Where the instruction stands in a turn.
enum class Placement {
  user,    // before the user's text, with one space
  system,  // in the system message, before one that the dialogue has, with one space
};
Placement parse_placement(const std::string& name, const std::string& key);  // "user", "system"

enum class InstructedTurns { none, first, every };

struct InstructionUse {
  InstructedTurns turns = InstructedTurns::first;
  bool short_form = false;
  Placement placement = Placement::user;
};

inline constexpr int64_t kNoBound = std::numeric_limits<int64_t>::max();

// Where an answer stands in a sequence, its eos included.
struct AnswerSpan {
  size_t turn = 0;
  size_t begin = 0, end = 0;  // tokens
};

struct GhostSequence {
  Example example;
  size_t dropped = 0;               // turns that had to go
  std::vector<AnswerSpan> answers;  // of the turns that stayed
};

// Ready for the answer of `turn`, in at most `room` tokens; no token has a label. Nothing when even
// the first turn and this one do not fit. Input Errors name `where`.
std::optional<GhostSequence> ghost_prompt(const InstructedDialogue& dialogue, size_t turn,
                                          const InstructionUse& use, const Tokenizer& tokenizer,
                                          int64_t room = kNoBound,
                                          const std::string& where = "dialogue");

// The dialogue up to the answer of `turn`, which alone has labels, its eos included.
std::optional<GhostSequence> ghost_example(const InstructedDialogue& dialogue, size_t turn,
                                           const InstructionUse& use, const Tokenizer& tokenizer,
                                           int64_t room = kNoBound,
                                           const std::string& where = "dialogue");

// Turns of `lengths` tokens, the last of which is the one at hand: the first of those after turn 0
// that is kept in `room` tokens (1: all are). Nothing when turn 0 and the last do not fit.
std::optional<size_t> first_kept_turn(std::span<const int64_t> lengths, int64_t room);

// {"messages", "instruction", "short"?}: every turn with its answer, but for the last one's, which
// may be missing. Without needs_instruction a line may have none. Input Errors name `where` and the
// field.
InstructedDialogue parse_instructed_dialogue(const nlohmann::json& line, const std::string& where,
                                             bool needs_instruction = true);

}  // namespace cria
