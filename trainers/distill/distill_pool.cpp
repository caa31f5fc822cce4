#include "trainers/distill/distill_pool.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "cria/data/json_lines.h"

namespace cria {

namespace {

using nlohmann::json;

std::string to_json(const DistillAnswer& answer) {
  return fmt::format(
      "{{\"kind\": \"{}\", \"preprompt\": {}, \"completion\": {}, \"completion_ids\": [{}], "
      "\"finished_by_eos\": {}, \"safety\": {}}}",
      name_of(answer.kind), json(answer.preprompt).dump(), json(answer.completion).dump(),
      fmt::join(answer.ids, ", "), answer.finished_by_eos, answer.safety);
}

PrepromptKind parse_kind(const std::string& name) {
  const auto* found = std::find(std::begin(kPrepromptNames), std::end(kPrepromptNames), name);
  if (found == std::end(kPrepromptNames)) throw std::invalid_argument(name);
  return static_cast<PrepromptKind>(found - std::begin(kPrepromptNames));
}

}  // namespace

std::vector<int32_t> DistillPrompt::sequence(const DistillAnswer& answer) const {
  std::vector<int32_t> all = ids;
  all.insert(all.end(), answer.ids.begin(), answer.ids.end());
  return all;
}

const DistillAnswer* DistillPrompt::best(std::optional<PrepromptKind> kind) const {
  const DistillAnswer* best = nullptr;
  for (const DistillAnswer& answer : answers) {
    if (answer.kind == PrepromptKind::before || (kind && answer.kind != *kind)) continue;
    if (!answer.finished_by_eos && !keep_truncated) continue;
    if (best == nullptr || answer.safety > best->safety) best = &answer;
  }
  return best;
}

const DistillAnswer* DistillPrompt::learnt() const {
  const DistillAnswer* answer = best();
  return answer != nullptr && answer->safety > before().safety ? answer : nullptr;
}

std::string to_line(const DistillPrompt& p) {
  std::vector<std::string> answers;
  for (const DistillAnswer& answer : p.answers) answers.push_back(to_json(answer));
  return fmt::format(
      "{{\"prompt_number\": {}, \"prompt\": {}, \"category\": \"{}\", \"risk\": {}, "
      "\"prompt_ids\": [{}], \"answers\": [{}]}}\n",
      p.number, p.given.dump(), p.is_safety ? "safety" : "helpful", json(p.risk).dump(),
      fmt::join(p.ids, ", "), fmt::join(answers, ", "));
}

DistillPrompt parse_distill_prompt(const json& line, const std::string& where) {
  try {
    DistillPrompt prompt{.number = line.at("prompt_number"),
                         .given = line.at("prompt"),
                         .is_safety = line.at("category") == "safety",
                         .risk = line.at("risk"),
                         .ids = line.at("prompt_ids"),
                         .answers = {}};
    for (const json& answer : line.at("answers")) {
      prompt.answers.push_back({.kind = parse_kind(answer.at("kind")),
                                .preprompt = answer.at("preprompt"),
                                .completion = answer.at("completion"),
                                .ids = answer.at("completion_ids"),
                                .finished_by_eos = answer.at("finished_by_eos"),
                                .safety = answer.at("safety")});
    }
    if (prompt.answers.empty() || prompt.before().kind != PrepromptKind::before) {
      throw std::invalid_argument("answers");
    }
    return prompt;
  } catch (const std::exception&) {
    throw input_error(where, "no line of a pool, as `cria distill` writes it");
  }
}

std::vector<DistillPrompt> read_distill_pool(const std::string& path, bool keep_truncated) {
  std::vector<DistillPrompt> pool;
  JsonLines lines(path);
  for (json line; lines.next(line);) {
    pool.push_back(parse_distill_prompt(line, lines.where()));
    pool.back().keep_truncated = keep_truncated;
  }
  return pool;
}

StandingPrompts standing_prompts(const std::string& path, std::span<const Prompt> prompts) {
  StandingPrompts standing;
  std::ifstream file(path, std::ios::binary);
  // eof() after getline() means that the line had no end.
  for (std::string text; std::getline(file, text) && !file.eof();) {
    const json line = json::parse(text, nullptr, /*allow_exceptions=*/false);
    const auto next = static_cast<size_t>(standing.prompts);
    if (!line.is_object() || next == prompts.size() ||
        line.value("prompt_number", int64_t{-1}) != int64_t{prompts[next].number}) {
      break;
    }
    ++standing.prompts;
    standing.bytes += static_cast<int64_t>(text.size()) + 1;
  }
  return standing;
}

}  // namespace cria
