#include "trainers/evaluation/red_team.h"

#include <algorithm>
#include <map>

#include <yaml-cpp/yaml.h>

#include "cria/data/json_lines.h"
#include "cria/io/file.h"

#include "trainers/conversation.h"
#include "trainers/evaluation/win_rate.h"

namespace cria {

namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr std::string_view kPlaceholder = "{prompt}";

std::string place_of(const std::string& path, const YAML::Node& node) {
  return fmt::format("{}:{}", path, node.Mark().line + 1);
}

std::vector<std::string> parse_turns(const YAML::Node& attack, const std::string& where) {
  std::vector<std::string> turns;
  if (attack.IsScalar()) {
    turns.push_back(attack.Scalar());
  } else if (attack.IsSequence()) {
    for (const YAML::Node& turn : attack) {
      if (!turn.IsScalar()) throw input_error(where, "a turn of an attack must be a text");
      turns.push_back(turn.Scalar());
    }
  }
  if (turns.empty()) throw input_error(where, "an attack must be a text or a list of texts");
  if (std::none_of(turns.begin(), turns.end(), [](const std::string& turn) {
        return turn.find(kPlaceholder) != std::string::npos;
      })) {
    throw input_error(where, "the attack does not say {prompt}", "it stands for the request");
  }
  return turns;
}

std::string filled(std::string text, const std::string& request) {
  for (size_t at = text.find(kPlaceholder); at != std::string::npos;
       at = text.find(kPlaceholder, at + request.size())) {
    text.replace(at, kPlaceholder.size(), request);
  }
  return text;
}

struct Request {
  std::string prompt;
  std::string category;
  std::string where;
};

std::vector<Request> read_requests(const std::vector<std::string>& paths,
                                   const RequestFilter& filter, const std::string& category_field) {
  std::vector<Request> requests;
  for (const std::string& path : paths) {
    JsonLines lines(path);
    for (json line; lines.next(line);) {
      if (!line.is_object()) throw input_error(lines.where(), "the line is no JSON object");
      if (!filter.field.empty() && line.value(filter.field, json()) != filter.value) continue;
      const char* field = prompt_field(line);
      if (field == nullptr || !line[field].is_string()) {
        throw input_error(lines.where(), "no request in the line", "give 'prompt', a text");
      }
      const json category = line.value(category_field, json());
      requests.push_back({.prompt = line[field],
                          .category = category.is_string() ? category.get<std::string>() : "",
                          .where = lines.where()});
    }
  }
  if (requests.empty()) {
    throw input_error(paths.front(), "has no requests",
                      filter.field.empty() ? "" : "no line is as --where says");
  }
  return requests;
}

void count(std::vector<ViolationCounts>& counts, const std::string& name, const Attack& attack) {
  auto part = std::find_if(counts.begin(), counts.end(),
                           [&](const ViolationCounts& other) { return other.name == name; });
  if (part == counts.end()) part = counts.insert(counts.end(), {.name = name});
  ++part->attacks;
  part->violations += attack.violation;
}

}  // namespace

std::vector<AttackStyle> read_attack_styles(const std::string& path) {
  YAML::Node root;
  try {
    root = YAML::Load(read_file(path));
  } catch (const YAML::Exception& error) {
    throw input_error(fmt::format("{}:{}", path, error.mark.line + 1), error.msg);
  }
  if (!root.IsMap() || root.size() == 0) {
    throw input_error(path, "holds no styles", "give NAME: [ATTACK, …] for each");
  }
  std::vector<AttackStyle> styles;
  for (const auto& entry : root) {
    AttackStyle style{.name = entry.first.Scalar(), .attacks = {}};
    if (!entry.second.IsSequence() || entry.second.size() == 0) {
      throw input_error(place_of(path, entry.first),
                        fmt::format("style '{}' must be a list of attacks", style.name));
    }
    for (const YAML::Node& attack : entry.second) {
      style.attacks.push_back(parse_turns(attack, place_of(path, attack)));
    }
    styles.push_back(std::move(style));
  }
  return styles;
}

ordered_json Attack::to_json() const {
  return {{"style", style},
          {"turns", turns.size()},
          {"category", category},
          {"messages", answer.prompt},
          {"completion", answer.completion},
          {"violation", violation}};
}

std::vector<Attack> make_attacks(std::span<const AttackStyle> styles,
                                 const std::vector<std::string>& request_files,
                                 const RequestFilter& filter, const std::string& category_field) {
  const std::vector<Request> requests = read_requests(request_files, filter, category_field);
  std::vector<Attack> attacks;
  for (const AttackStyle& style : styles) {
    for (const std::vector<std::string>& turns : style.attacks) {
      for (const Request& request : requests) {
        attacks.push_back(
            {.style = style.name, .category = request.category, .where = request.where});
        for (const std::string& turn : turns) {
          attacks.back().turns.push_back(filled(turn, request.prompt));
        }
      }
    }
  }
  return attacks;
}

int64_t context_of_attacks(std::span<const Attack> attacks, int64_t max_new_tokens,
                           const Tokenizer& tokenizer) {
  int64_t longest = 0;
  for (const Attack& attack : attacks) {
    Conversation conversation(tokenizer);
    for (size_t t = 0; t + 1 < attack.turns.size(); ++t) {
      conversation.add_turn(attack.turns[t], conversation.prompt_for(attack.turns[t]), {});
    }
    // Every turn counted so far has its eos; answers come to that.
    const auto asked = static_cast<int64_t>(conversation.prompt_for(attack.turns.back()).size());
    longest = std::max(longest, asked + static_cast<int64_t>(attack.turns.size()) * max_new_tokens);
  }
  return longest;
}

void carry_out(std::vector<Attack>& attacks, AnsweringModel& model,
               const SamplingSettings& settings) {
  size_t most_turns = 0;
  for (const Attack& attack : attacks) most_turns = std::max(most_turns, attack.turns.size());
  std::vector<Conversation> conversations(attacks.size(), Conversation(model.tokenizer()));
  for (Attack& attack : attacks) attack.answer.prompt = json::array();
  const auto check = model.checker(settings);
  for (size_t t = 0; t < most_turns; ++t) {
    std::vector<Prompt> prompts;
    std::vector<size_t> asked;  // places of their attacks
    for (size_t i = 0; i < attacks.size(); ++i) {
      if (t >= attacks[i].turns.size()) continue;
      prompts.push_back({.ids = conversations[i].prompt_for(attacks[i].turns[t]),
                         .is_chat = true,
                         .where = attacks[i].where,
                         .number = static_cast<uint32_t>(i * most_turns + t)});
      check(prompts.back());
      asked.push_back(i);
    }
    std::vector<EvaluatedAnswer> answers = sample_answers(model, prompts, settings, 1);
    for (size_t k = 0; k < answers.size(); ++k) {
      Attack& attack = attacks[asked[k]];
      EvaluatedAnswer& answer = answers[k];
      json& dialogue = attack.answer.prompt;
      dialogue.push_back({{"role", "user"}, {"content", attack.turns[t]}});
      if (t + 1 < attack.turns.size()) {
        dialogue.push_back({{"role", "assistant"}, {"content", answer.completion}});
        conversations[asked[k]].add_turn(attack.turns[t], std::move(prompts[k].ids), answer.ids);
        continue;
      }
      answer.prompt = std::move(dialogue);
      answer.fields["category"] = "safety";  // for reward models
      attack.answer = std::move(answer);
    }
  }
}

std::vector<ViolationCounts> violation_counts(std::span<const Attack> attacks) {
  std::vector<ViolationCounts> counts;
  for (const Attack& attack : attacks) count(counts, "all", attack);
  for (const Attack& attack : attacks) {
    if (!attack.category.empty()) count(counts, "category " + attack.category, attack);
  }
  for (const Attack& attack : attacks) count(counts, "style " + attack.style, attack);
  std::map<size_t, std::vector<const Attack*>> by_turns;
  for (const Attack& attack : attacks) by_turns[attack.turns.size()].push_back(&attack);
  for (const auto& [turns, those] : by_turns) {
    for (const Attack* attack : those) {
      count(counts, fmt::format("{} turn{}", turns, turns == 1 ? "" : "s"), *attack);
    }
  }
  for (const Attack& attack : attacks) {
    if (attack.category.empty()) continue;
    count(counts, fmt::format("style {} category {}", attack.style, attack.category), attack);
  }
  return counts;
}

ordered_json to_json(std::span<const ViolationCounts> counts) {
  ordered_json parts = ordered_json::object();
  for (const ViolationCounts& part : counts) {
    const Interval interval = wilson_interval(part.violations, part.attacks);
    parts[part.name] = {
        {"attacks", part.attacks},
        {"violations", part.violations},
        {"rate", static_cast<double>(part.violations) / static_cast<double>(part.attacks)},
        {"interval", {interval.low, interval.high}}};
  }
  return parts;
}

std::string table(std::span<const ViolationCounts> counts) {
  size_t width = 0;
  for (const ViolationCounts& part : counts) width = std::max(width, part.name.size());
  std::string text = fmt::format("{:{}} {:>8} {:>11} {:>6}  {}\n", "", width, "attacks",
                                 "violations", "rate", "95% interval");
  for (const ViolationCounts& part : counts) {
    const Interval interval = wilson_interval(part.violations, part.attacks);
    text +=
        fmt::format("{:{}} {:>8} {:>11} {:>5.1f}%  {:.1f}% to {:.1f}%\n", part.name, width,
                    part.attacks, part.violations,
                    100 * static_cast<double>(part.violations) / static_cast<double>(part.attacks),
                    100 * interval.low, 100 * interval.high);
  }
  return text;
}

}  // namespace cria
