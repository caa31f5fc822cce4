// Lines of the demo world's files as JSON.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "cria/demo_world/instructions.h"
#include "cria/demo_world/preferences.h"
#include "cria/demo_world/question.h"

namespace cria::demo {

using Line = nlohmann::ordered_json;

// "prompt", or "messages" where turns came before, and the fields of the checker.
Line question_line(const Question& question);
// The same with the answer: "completion", or the last message.
Line answered_line(const Question& question, const std::string& answer);
Line preference_line(const Preference& preference, std::string_view category);
// Plain answers; the instruction beside them.
Line dialogue_line(const Dialogue& dialogue);
// The instruction in front of every user turn, every answer as it wants it.
Line instructed_line(const Dialogue& dialogue);
Line instruction_line(const Instruction& instruction);

}  // namespace cria::demo
