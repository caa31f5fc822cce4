// Dialogues that a model answers turn by turn, and the file that keeps every answer.
//
// Dialogues go in chunks, a chunk's in step: turn 1 of all of them, then turn 2, so that the engine
// always has many to answer. A piece, one turn of a chunk, is written at once. The file is
// JSON Lines in that order and only ever grows; a run that goes on takes the pieces that stand
// whole from it and samples the rest.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "trainers/gatt/instructions.h"
#include "trainers/reward_models.h"

namespace cria {

struct SampledTurn {
  int64_t dialogue = 0;  // number of the dialogue, from 0
  int64_t turn = 0;      // from 0
  int64_t sample = 0;
  int64_t dropped_turns = 0;  // of its prompt, for want of room
  std::string completion;     // text, for people and checkers
  std::vector<int32_t> ids;   // as they were sampled, eos included
  bool finished_by_eos = false;
  bool follows = true;  // what the checker says; true where there is none
  AnswerScore score;    // 0 where there is no reward model
};

std::string to_line(const SampledTurn& turn);
SampledTurn parse_sampled_turn(const nlohmann::json& line, const std::string& where);

struct GattDialogue {
  uint32_t number = 0;
  std::string where;  // of its line
  InstructedDialogue said;
  GattInstruction instruction;
  bool is_safety = false;
  // The answers that were kept, in the order of the turns; fewer where the context was full.
  std::vector<SampledTurn> kept;
};

// One turn of a chunk: which dialogues are answered, and their prompts.
struct Piece {
  int64_t turn = 0;
  std::vector<const GattDialogue*> dialogues;
  std::vector<GhostSequence> prompts;
};

struct PoolOptions {
  InstructionUse use;
  int64_t room = 0;  // tokens for a prompt
  int64_t num_samples = 1;
  int64_t chunk_dialogues = 1;
  bool keep_history = true;  // earlier answers are the kept ones; else the data's
  bool last_only = false;    // only the last turn is answered, which asks for the data's history
};

// The lines of a piece's answers: for each dialogue, num_samples of them. None: stopped.
using AnswerPiece = std::function<std::string(const Piece&)>;

struct PoolProgress {
  bool complete = false;
  int64_t samples = 0;  // that stand in the file
  int64_t wanted = 0;   // at most, with those
};

// Goes through all pieces, and keeps in the dialogues the best answer of each: one that ended with
// eos before others, then one that follows, then the higher score, then the lower sample number.
// Pieces that are not in the file are asked of `answer`, and appended where `writes`; without
// `answer` it stops at the first such piece.
PoolProgress go_through(std::vector<GattDialogue>& dialogues, const std::string& path,
                        const PoolOptions& options, const Tokenizer& tokenizer,
                        const AnswerPiece& answer = {}, bool writes = false);

}  // namespace cria
