#include "trainers/evaluation/demo_questions.h"

#include "cria/data/json_lines.h"
#include "cria/demo_world/files.h"

namespace cria {

namespace {

using nlohmann::json;

// Prompts are told apart by their text, or by their list of messages.
json key_of(const json& line) {
  if (line.contains("prompt")) return line["prompt"];
  return line.value("messages", json());
}

}  // namespace

DemoQuestions read_demo_questions(const std::vector<std::string>& paths) {
  DemoQuestions questions;
  for (const std::string& path : paths) {
    JsonLines lines(path);
    for (json line; lines.next(line);) {
      questions[key_of(line)] = demo::parse_question(line, lines.where());
    }
  }
  return questions;
}

demo::Question demo_question_for(const json& line, const DemoQuestions& questions,
                                 const std::string& where) {
  if (line.contains("kind")) return demo::parse_question(line, where);
  const auto found = questions.find(key_of(line));
  if (found == questions.end()) {
    throw input_error(where, "its prompt is in no file of questions",
                      "name the file that the prompts came from with --questions");
  }
  return found->second;
}

}  // namespace cria
