// The questions of the demo world's files, by their prompts.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cria/demo_world/question.h"

namespace cria {

using DemoQuestions = std::map<nlohmann::json, demo::Question>;

DemoQuestions read_demo_questions(const std::vector<std::string>& paths);

// What a line's answers are to: the question in the line itself, or the one with its prompt. An
// input Error that names `where` when there is none.
demo::Question demo_question_for(const nlohmann::json& line, const DemoQuestions& questions,
                                 const std::string& where);

}  // namespace cria
