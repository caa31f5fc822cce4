// What the steps of `cria gatt` make of each other's files.
#pragma once

#include <string>
#include <vector>

#include "trainers/gatt/dialogue_pool.h"

namespace cria {

struct DialogueFiles {
  std::vector<GattDialogue> dialogues;
  int64_t skipped = 0;  // bad lines
  std::string first_skipped;
};

// The dialogues of gatt.dialogues, gatt.repeats times, each with its instruction: one of
// `instructions`, drawn by the dialogue's number, or with source: dialogues its own. A dialogue
// with the data's history must have an answer to every turn before the last.
DialogueFiles read_dialogues(const GattConfig& config,
                             const std::vector<GattInstruction>& instructions);

struct GhostCounts {
  int64_t examples = 0;
  int64_t short_forms = 0;
  int64_t cut_off = 0;        // answers without an eos
  int64_t not_following = 0;  // by the checker, left out
  int64_t over_long = 0;      // left out
  int64_t dropped_turns = 0;  // of examples that stayed
  double follows = 0;         // of the answers that were kept, the share that follows
};

// Dialogues that have gone through their pool, as {"input_ids", "labels"}: the instruction, in its
// long or short form, before the first turn only.
std::string example_lines(const std::vector<GattDialogue>& dialogues, const GattConfig& config,
                          const Tokenizer& tokenizer, GhostCounts& counts);

struct PreferenceCounts {
  int64_t pairs = 0;
  int64_t compared = 0;
};

// Pairs for cria dpo, of every turn from gatt.preference_from_turn on: the same prompt with the
// instruction before the first turn only, the answer to the instructed dialogue as the chosen one,
// that to the plain dialogue as the rejected one. A pair must say what is wanted: with a checker
// the one follows and the other does not, and their texts differ in any case.
std::string preference_lines(const std::vector<GattDialogue>& instructed,
                             const std::vector<GattDialogue>& plain, const GattConfig& config,
                             const Tokenizer& tokenizer, PreferenceCounts& counts);

}  // namespace cria
