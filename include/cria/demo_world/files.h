// The files of the demo world (docs/demo_world.md).
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "cria/demo_world/question.h"

namespace cria::demo {

// Lines of each file.
struct WorldSizes {
  size_t documents;
  size_t sft, sft_clean, sft_noisy;
  size_t test;  // of each kind
  size_t prompts;
  size_t preferences_helpful, preferences_helpful_test;
  size_t preferences_safety, preferences_safety_test;
  size_t dialogues, dialogues_test;

  static WorldSizes full();
  static WorldSizes small();  // for trials and tests
};

// Writes every file into `directory`, which is made where needed. Same seed and sizes, same bytes.
void write_demo_world(const std::string& directory, uint64_t seed, const WorldSizes& sizes);

// What a checker needs of a question, from the extra fields of a line: kind, answer, partial, risk,
// and the prompt. Throws an input Error that names `where` and the field.
Question parse_question(const nlohmann::json& line, const std::string& where);

}  // namespace cria::demo
