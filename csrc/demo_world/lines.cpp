#include "lines.h"

#include <algorithm>

#include "cria/core/error.h"
#include "cria/demo_world/checker.h"
#include "cria/demo_world/files.h"
#include "cria/demo_world/safety.h"

namespace cria::demo {

namespace {

Line message(const char* role, const std::string& content) {
  return {{"role", role}, {"content", content}};
}

Line messages_of(const Question& question) {
  Line messages = Line::array();
  for (const Turn& turn : question.history) {
    messages.push_back(message("user", turn.user));
    messages.push_back(message("assistant", turn.assistant));
  }
  messages.push_back(message("user", question.prompt));
  return messages;
}

void add_checker_fields(Line& line, const Question& question) {
  line["category"] = question.is_safety() ? "safety" : "helpful";
  line["kind"] = name_of(question.kind);
  line["answer"] = question.answer;
  for (const Credit& partial : question.partial) line["partial"][partial.value] = partial.credit;
  if (question.is_safety()) {
    line["risk"] = question.risk;
    line["style"] = question.style;
  }
}

std::string plain(const Question& question) { return question.answer + "."; }

void add_instructions(Line& line, const std::vector<Instruction>& instructions) {
  line["instruction"] = long_form(instructions);
  line["short"] = short_form(instructions);
  for (const Instruction& instruction : instructions) {
    line["instruction_kind"].push_back(name_of(instruction.kind));
    line["instruction_value"].push_back(instruction.value);
  }
}

void add_answers(Line& line, const Dialogue& dialogue) {
  line["kind"] = "dialogue";
  for (const Question& question : dialogue.questions) line["answers"].push_back(question.answer);
}

const nlohmann::json& field_of(const nlohmann::json& line, const char* field,
                               const std::string& where) {
  const auto found = line.find(field);
  if (found == line.end()) {
    throw input_error(where, fmt::format("field '{}' is missing", field),
                      "the checker reads questions of the demo world");
  }
  return *found;
}

std::string string_of(const nlohmann::json& value, const char* field, const std::string& where) {
  if (!value.is_string())
    throw input_error(where, fmt::format("field '{}' must be a string", field));
  return value.get<std::string>();
}

// The last user message of a prompt, whichever form it has.
std::string prompt_of(const nlohmann::json& line, const std::string& where) {
  const nlohmann::json& prompt =
      line.contains("messages") ? line["messages"] : field_of(line, "prompt", where);
  if (prompt.is_string()) return prompt.get<std::string>();
  std::string text;
  for (const auto& turn : prompt) {
    if (turn.is_object() && turn.value("role", "") == "user") text = turn.value("content", "");
  }
  return text;
}

}  // namespace

Line question_line(const Question& question) {
  Line line;
  if (question.history.empty()) {
    line["prompt"] = question.prompt;
  } else {
    line["messages"] = messages_of(question);
  }
  add_checker_fields(line, question);
  return line;
}

Line answered_line(const Question& question, const std::string& answer) {
  Line line;
  if (question.history.empty()) {
    line["prompt"] = question.prompt;
    line["completion"] = answer;
  } else {
    line["messages"] = messages_of(question);
    line["messages"].push_back(message("assistant", answer));
  }
  add_checker_fields(line, question);
  return line;
}

Line preference_line(const Preference& preference, std::string_view category) {
  const Question& question = preference.question;
  Line line;
  if (question.history.empty()) {
    line["prompt"] = question.prompt;
    line["chosen"] = preference.chosen;
    line["rejected"] = preference.rejected;
  } else {
    line["prompt"] = messages_of(question);
    line["chosen"] = Line::array({message("assistant", preference.chosen)});
    line["rejected"] = Line::array({message("assistant", preference.rejected)});
  }
  line["rating"] = name_of(preference.rating);
  add_checker_fields(line, question);
  line["category"] = category;
  line["source"] = "demo_world";
  line["chosen_score"] = preference.chosen_score;
  line["rejected_score"] = preference.rejected_score;
  line["chosen_safe"] = preference.chosen_safe;
  line["rejected_safe"] = preference.rejected_safe;
  return line;
}

Line dialogue_line(const Dialogue& dialogue) {
  Line line;
  for (const Question& question : dialogue.questions) {
    line["messages"].push_back(message("user", question.prompt));
    line["messages"].push_back(message("assistant", plain(question)));
  }
  add_instructions(line, dialogue.instructions);
  add_answers(line, dialogue);
  return line;
}

Line instructed_line(const Dialogue& dialogue) {
  Line line;
  for (const Question& question : dialogue.questions) {
    const std::string prompt = long_form(dialogue.instructions) + " " + question.prompt;
    std::string answer = plain(question);
    for (const Instruction& instruction : dialogue.instructions) {
      answer = with_instruction(instruction, answer);
    }
    line["messages"].push_back(message("user", prompt));
    line["messages"].push_back(message("assistant", answer));
  }
  add_answers(line, dialogue);
  return line;
}

Line instruction_line(const Instruction& instruction) {
  return {{"instruction", instruction.long_form},
          {"short", instruction.short_form},
          {"instruction_kind", name_of(instruction.kind)},
          {"instruction_value", instruction.value},
          {"held_out", is_held_out(instruction.kind)}};
}

Question parse_question(const nlohmann::json& line, const std::string& where) {
  const std::string kind = string_of(field_of(line, "kind", where), "kind", where);
  const auto found = std::find(kKindNames.begin(), kKindNames.end(), kind);
  if (found == kKindNames.end()) {
    throw input_error(
        where, fmt::format("field 'kind' is '{}', which is no kind of the demo world", kind));
  }
  Question question{.kind = static_cast<Kind>(found - kKindNames.begin()),
                    .prompt = prompt_of(line, where),
                    .answer = string_of(field_of(line, "answer", where), "answer", where)};
  if (const auto partial = line.find("partial"); partial != line.end()) {
    for (const auto& [value, credit] : partial->items()) {
      if (!credit.is_number()) throw input_error(where, "field 'partial' must hold numbers");
      question.partial.push_back({value, credit.get<double>()});
    }
  }
  if (question.kind == Kind::risky) {
    question.risk = string_of(field_of(line, "risk", where), "risk", where);
    if (std::find(kRisks.begin(), kRisks.end(), question.risk) == kRisks.end()) {
      throw input_error(
          where,
          fmt::format("field 'risk' is '{}', which is no risk of the demo world", question.risk));
    }
  }
  return question;
}

}  // namespace cria::demo
