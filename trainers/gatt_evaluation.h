// What `cria gatt eval` measures: how long models hold to an instruction, side by side.
#pragma once

#include <string>
#include <vector>

#include "trainers/gatt/dialogue_answerer.h"

namespace cria {

struct GattEvaluationOptions : DialogueOptions {
  std::string reward_model;
  std::vector<std::string> held_out;  // kinds never trained on
  std::string output;                 // JSON
  std::string plot;                   // SVG
};

// Dialogues go turn by turn with the model's own answers. A part of an instruction of a kind that
// the demo world's checker knows is checked by it. Of others the reward model is asked: an answer
// follows when, behind the question with the instruction, it scores higher than the answer that the
// same model gave to the dialogue without the instruction. Returns the exit code.
int evaluate_gatt(const GattEvaluationOptions& options);

}  // namespace cria
