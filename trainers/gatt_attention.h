// What `cria gatt attention` shows: what models look at while they answer a dialogue, side by side.
#pragma once

#include <string>

#include "trainers/gatt/dialogue_answerer.h"

namespace cria {

struct GattAttentionOptions : DialogueOptions {
  int64_t dialogue = 1;  // which of the data's, from 1
  int64_t bin = 8;       // tokens
  std::string output;    // JSON
  std::string plot;      // SVG
};

// Each model answers the dialogue turn by turn, told the instruction once, in the long form; its
// own answers are what the picture is of (gatt/attention_picture.h). Returns the exit code.
int show_gatt_attention(const GattAttentionOptions& options);

}  // namespace cria
