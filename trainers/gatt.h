// Ghost Attention (Llama 2, section 3.3): fine-tuning a chat model so that an instruction given
// once holds over a dialogue. docs/ghost_attention.md has the method; trainers/gatt/ the parts.
#pragma once

#include "trainers/gatt/gatt_config.h"

namespace cria {

// What a run does, in order; all but the last unless one is asked for.
enum class GattStep {
  all,
  lists,         // lists.json: what the model names
  instructions,  // instructions.jsonl: random combinations
  sample,        // pool.jsonl: answers, the instruction before every user turn
  examples,      // examples.jsonl: the instruction before the first turn only
  train,
  preferences,  // plain.jsonl: answers without the instruction; preferences.jsonl: for cria dpo
};
GattStep parse_gatt_step(const std::string& name);

int gatt(const GattConfig& config, const std::string& resolved_config, GattStep step);

}  // namespace cria
