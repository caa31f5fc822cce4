// The keys of all random numbers that Ghost Attention draws, none of which two draws share.
#pragma once

#include <cstdint>

#include "cria/generate/generator.h"

namespace cria {

enum class GattDraw : uint32_t { combination, instruction, short_form };

// For Random(seed, Purpose::instructions, …).
constexpr uint64_t random_key(GattDraw draw, uint32_t number) {
  return uint64_t{static_cast<uint32_t>(draw)} << 32 | number;
}

// For the engine: a sample of a dialogue's turn, fewer than 2^12 turns and 2^20 samples.
constexpr uint64_t turn_key(uint32_t dialogue, int64_t turn, int64_t sample) {
  return sample_example(dialogue, static_cast<uint32_t>(turn << 20 | sample));
}

// Lists are asked for in the place of dialogues that no run has.
constexpr uint64_t list_key(uint32_t prompt, int64_t sample) {
  return sample_example(~prompt, static_cast<uint32_t>(sample));
}

}  // namespace cria
