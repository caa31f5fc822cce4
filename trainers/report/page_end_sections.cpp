// Pictures from elsewhere, answers to read, and what everything was made with.
#include <algorithm>
#include <map>

#include "cria/io/file.h"

#include "trainers/evaluation/answers.h"
#include "trainers/report/sections.h"
#include "trainers/report/stages.h"

namespace cria {

namespace {

using nlohmann::json;

constexpr size_t kPromptsShown = 12;

std::string spoken(const json& prompt) {
  if (prompt.is_string()) return prompt.get<std::string>();
  std::string text;
  for (const json& message : prompt) {
    if (!message.is_object()) continue;
    text += fmt::format("{}{}: {}", text.empty() ? "" : "\n", message.value("role", ""),
                        message.value("content", ""));
  }
  return text;
}

// The first answer to each prompt, in the order of the file.
struct StageText {
  std::string stage;
  std::vector<std::string> prompts;
  std::map<std::string, std::string> answers;
};

StageText read_stage(const AnswerFile& file) {
  StageText stage{.stage = stage_name(file.place).stage, .prompts = {}, .answers = {}};
  for (const EvaluatedAnswer& answer : read_answers(file.path)) {
    const std::string prompt = spoken(answer.prompt);
    if (!stage.answers.emplace(prompt, answer.completion).second) continue;
    stage.prompts.push_back(prompt);
  }
  return stage;
}

// `count` of them, evenly spaced.
std::vector<std::string> spread(const std::vector<std::string>& all, size_t count) {
  if (all.size() <= count) return all;
  std::vector<std::string> some;
  for (size_t i = 0; i < count; ++i)
    some.push_back(all[i * all.size() / count + all.size() / count / 2]);
  return some;
}

// Prompts that all stages have answered; those whose answers differ where there are enough.
std::vector<std::string> prompts_to_show(const std::vector<StageText>& stages) {
  std::vector<std::string> common, differing;
  for (const std::string& prompt : stages.front().prompts) {
    const auto has = [&](const StageText& stage) { return stage.answers.contains(prompt); };
    if (!std::all_of(stages.begin(), stages.end(), has)) continue;
    common.push_back(prompt);
    const std::string& first = stages.front().answers.at(prompt);
    const auto same = [&](const StageText& stage) { return stage.answers.at(prompt) == first; };
    if (!std::all_of(stages.begin(), stages.end(), same)) differing.push_back(prompt);
  }
  return spread(differing.size() >= kPromptsShown ? differing : common, kPromptsShown);
}

}  // namespace

Section picture_section(const RunFiles& files) {
  Section section("studies", "Attention and studies");
  for (const Picture& picture : files.pictures) {
    section.picture(read_file(picture.path), picture.path, picture.title, picture.caption);
  }
  return section;
}

Section dialogue_section(const RunFiles& files) {
  Section section("answers", "Answers side by side");
  std::vector<const AnswerFile*> all;
  for (const AnswerFile& file : files.answers) all.push_back(&file);
  for (const auto& [variant, members] : by_variant(all)) {
    std::vector<StageText> stages;
    for (const AnswerFile* file : members) stages.push_back(read_stage(*file));
    const std::vector<std::string> prompts = prompts_to_show(stages);
    if (prompts.empty()) continue;
    if (!variant.empty()) section.heading("At " + variant_title(variant));
    for (const std::string& prompt : prompts) {
      std::vector<Section::Answer> answers;
      for (const StageText& stage : stages) {
        answers.push_back({stage.stage, stage.answers.at(prompt)});
      }
      section.dialogue(prompt, answers);
    }
  }
  return section;
}

Section config_section(const RunFiles& files) {
  Section section("configs", "Configs and environment");
  for (const Run& run : files.runs) {
    if (!run.config.empty()) section.details(run.place.name + ": config.yaml", run.config);
  }
  // One table for all runs that were made alike.
  std::vector<std::pair<nlohmann::ordered_json, std::string>> environments;
  for (const Run& run : files.runs) {
    if (!run.environment.is_object()) continue;
    auto same = std::find_if(environments.begin(), environments.end(),
                             [&](const auto& other) { return other.first == run.environment; });
    if (same == environments.end()) {
      environments.emplace_back(run.environment, run.place.name);
    } else {
      same->second += ", " + run.place.name;
    }
  }
  for (const auto& [environment, runs] : environments) {
    Table table{.header = {"made with", ""}, .rows = {}, .last_is_text = true};
    for (const auto& [key, value] : environment.items()) {
      table.rows.push_back({key, value.is_string() ? value.get<std::string>() : value.dump()});
    }
    section.table(table, runs);
  }
  return section;
}

}  // namespace cria
