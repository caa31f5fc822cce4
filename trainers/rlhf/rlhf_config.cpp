#include "trainers/rlhf/rlhf_config.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

namespace cria {

namespace {

using nlohmann::json;

constexpr std::array<std::string_view, 6> kSections = {
    "preferences", "reward_helpfulness", "reward_safety", "rejection", "ppo", "evaluation"};

// What an iteration gives its trainers, and what would end one before its model is there.
constexpr std::array<std::string_view, 11> kGiven = {
    "model.path",        "tokenizer.path",        "training.output_dir", "training.stop_at_step",
    "checkpoint.resume", "rejection.helpfulness", "rejection.safety",    "rejection.iteration",
    "rejection.pools",   "ppo.helpfulness",       "ppo.safety"};

bool is_section(std::string_view name) {
  return std::find(kSections.begin(), kSections.end(), name) != kSections.end();
}

bool is_trainer(std::string_view section) {
  return section != "preferences" && section != "evaluation";
}

bool is_given_by_iteration(const std::string& section, const std::string& key) {
  if (section.starts_with("reward") && key == "data.train") return true;
  return std::find(kGiven.begin(), kGiven.end(), key) != kGiven.end();
}

Error given_by_iteration(const std::string& where, const std::string& section,
                         const std::string& key) {
  return input_error(where, fmt::format("{} in {} is given by the iterations", key, section),
                     "leave it out");
}

void declare_shared(ConfigSchema& schema, SharedConfig& c) {
  schema.key("data.max_length", c.data.max_length, "most tokens of prompt and answer").at_least(2);
  schema.key("data.separator", c.data.separator,
             "text between prompt and completion instead of the chat format");
  schema.key("data.skip_bad_lines", c.data.skip_bad_lines,
             "count and report bad lines instead of stopping");
  schema.key("training.seed", c.training.seed, "seed of everything random");
  schema.choice("training.precision", c.training.precision, {"fp32", "bf16"},
                "weights and activations");
  schema.choice("training.device", c.training.device, {"auto", "cpu", "cuda", "emulated"},
                "where to compute");
  schema.key("training.output_dir", c.training.output_dir, "where all iterations are written")
      .required();
}

template <typename Config>
std::unique_ptr<StageSettings<Config>> new_settings() {
  return std::make_unique<StageSettings<Config>>();
}

}  // namespace

void declare(ConfigSchema& schema, PreferencesConfig& c) {
  declare_shared(schema, c);
  auto& p = c.preferences;
  schema.key("preferences.prompts", p.prompts, "files of prompts to collect preferences on")
      .required();
  schema.key("preferences.pairs", p.pairs, "prompts that an iteration asks two answers to")
      .required()
      .at_least(1);
  schema.key("preferences.models", p.models,
             "who answers: latest, previous, start, an iteration's name or a directory; two of "
             "them a pair");
  schema.key("preferences.temperatures", p.temperatures, "of the answers, each drawn from these")
      .at_least(0);
  declare_sampling(schema, "preferences", p);
  schema.key("preferences.rating_command", p.rating_command,
             "shell command that reads pairs and writes ratings; empty: people fill ratings.jsonl");
  schema
      .key("preferences.held_out", p.held_out,
           "share of the new pairs that reward models are tested on and never learn")
      .at_least(0)
      .below(1);
  schema.key("preferences.helpful", p.helpful, "files of pairs that there are before V1");
  schema.key("preferences.safety", p.safety, "the same for the safety model");
  schema
      .key("preferences.helpful_share", p.helpful_share,
           "of helpful pairs in what the helpfulness model learns; the rest are safety pairs")
      .positive()
      .at_most(1);
  schema
      .key("preferences.safety_share", p.safety_share,
           "of safety pairs in what the safety model learns; the rest are helpful pairs")
      .positive()
      .at_most(1);
}

void validate(const PreferencesConfig& config) {
  const auto& p = config.preferences;
  const auto demand = [](bool is_there, const char* key) {
    if (!is_there) throw input_error(key, "is empty", "give at least one");
  };
  demand(!p.prompts.empty(), "preferences.prompts");
  demand(!p.models.empty(), "preferences.models");
  demand(!p.temperatures.empty(), "preferences.temperatures");
}

void declare(ConfigSchema& schema, EvaluationConfig& c) {
  declare_shared(schema, c);
  auto& e = c.evaluation;
  schema.key("evaluation.prompts", e.prompts, "files of prompts that no iteration learns from")
      .required();
  schema.key("evaluation.temperature", e.temperature, "of the answers; 0: the likeliest tokens")
      .at_least(0);
  declare_sampling(schema, "evaluation", e);
  schema.choice("evaluation.reward_precision", e.reward_precision, {"fp32", "bf16"},
                "of the reward models");
}

RlhfRecipe::RlhfRecipe(const std::string& path, const std::vector<std::string>& assignments)
    : path_(path), root_(read_recipe(path)) {
  schema_.key("model.path", model_, "fine-tuned model that the first iteration begins with")
      .required();
  declare_shared(schema_, shared_);
  cria::read_section(schema_, root_, "", path_,
                     [](const std::string& key) { return is_section(key) || key == "stages"; });
  for (const std::string& assignment : assignments) {
    const std::string section = assignment.substr(0, assignment.find_first_of(".="));
    if (!is_section(section)) {
      schema_.set(assignment);
      continue;
    }
    const std::string rest = assignment.substr(std::min(section.size() + 1, assignment.size()));
    const std::string key = rest.substr(0, rest.find('='));
    if (is_trainer(section) && is_given_by_iteration(section, key)) {
      throw given_by_iteration("--set " + assignment, section, key);
    }
    assignments_.push_back({section, rest});
  }
  schema_.check();
  for (const char* section : {"preferences", "rejection", "evaluation"}) {
    if (!has_section(section)) {
      throw input_error(path_, fmt::format("the section {} is missing", section),
                        "docs/iterations.md says what it holds");
    }
  }
  if (!has_section("reward_helpfulness") && !has_section("reward_safety")) {
    throw input_error(path_, "there is neither reward_helpfulness nor reward_safety",
                      "give at least one reward model's section");
  }
  read_stages();
}

void RlhfRecipe::read_stages() {
  const YAML::Node stages = std::as_const(root_)["stages"];
  if (!stages.IsDefined() || !stages.IsSequence() || stages.size() == 0) {
    throw input_error(stages.IsDefined() ? place_in(path_, stages) : path_,
                      "stages is no list of iterations", "write stages: [{name: V1}, {name: V2}]");
  }
  for (const YAML::Node& node : stages) {
    if (!node.IsMap() && !node.IsNull()) {
      throw input_error(place_in(path_, node), "an iteration is a group of keys", "as {name: V1}");
    }
    Iteration iteration{.name = fmt::format("V{}", stages_.size() + 1), .node = node};
    for (const auto& entry : node) {
      const std::string key = entry.first.IsScalar() ? entry.first.Scalar() : "";
      const bool is_switch = key == "ppo" && entry.second.IsScalar();
      if (key == "name" && entry.second.IsScalar()) {
        iteration.name = entry.second.Scalar();
      } else if (is_switch && entry.second.Scalar() != "true" && entry.second.Scalar() != "false") {
        throw input_error(place_in(path_, entry.second), "ppo is " + entry.second.Scalar(),
                          "true, false or a group of keys");
      } else if (key == "evaluation" || !is_section(key)) {
        throw input_error(place_in(path_, entry.first),
                          fmt::format("'{}' is nothing that an iteration has", key),
                          "name, preferences, reward_helpfulness, reward_safety, rejection, ppo");
      } else if (!is_switch && !entry.second.IsMap()) {
        throw input_error(place_in(path_, entry.second), key + " is no group of keys");
      }
      if (key == "ppo") iteration.has_ppo = !is_switch || entry.second.Scalar() == "true";
    }
    const bool is_word =
        !iteration.name.empty() &&
        std::all_of(iteration.name.begin(), iteration.name.end(), [](char c) {
          return std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_';
        });
    const bool is_taken = std::any_of(stages_.begin(), stages_.end(), [&](const Iteration& other) {
      return other.name == iteration.name;
    });
    constexpr std::array<std::string_view, 4> kOthers = {"latest", "previous", "start", "V0"};
    if (!is_word || is_taken ||
        std::find(kOthers.begin(), kOthers.end(), iteration.name) != kOthers.end()) {
      throw input_error(place_in(path_, node),
                        fmt::format("'{}' cannot be the name of an iteration", iteration.name),
                        is_taken ? "another one has it" : "letters and digits, as V1");
    }
    if (iteration.has_ppo && !has_section("ppo")) {
      throw input_error(place_in(path_, node), iteration.name + " runs PPO without a section ppo",
                        "give one that all iterations share");
    }
    stages_.push_back(std::move(iteration));
  }
}

void RlhfRecipe::share(ConfigSchema& schema) const {
  const auto set = [&](const char* key, const json& value) {
    schema.set(std::string(key) + "=" + value.dump());
  };
  set("data.max_length", shared_.data.max_length);
  set("data.separator", shared_.data.separator);
  set("data.skip_bad_lines", shared_.data.skip_bad_lines);
  set("training.seed", shared_.training.seed);
  set("training.precision", shared_.training.precision);
  set("training.device", shared_.training.device);
  set("training.output_dir", shared_.training.output_dir);
}

void RlhfRecipe::read_section(ConfigSchema& schema, const std::string& section,
                              const YAML::Node& node) const {
  if (node.IsNull()) return;
  if (!node.IsMap()) throw input_error(place_in(path_, node), section + " is no group of keys");
  if (!is_trainer(section)) {
    cria::read_section(schema, node, section, path_);
    return;
  }
  for (const auto& group : node) {
    if (!group.first.IsScalar() || !group.second.IsMap()) continue;
    for (const auto& entry : group.second) {
      if (!entry.first.IsScalar()) continue;
      const std::string key = group.first.Scalar() + "." + entry.first.Scalar();
      if (is_given_by_iteration(section, key)) {
        throw given_by_iteration(place_in(path_, entry.first), section, key);
      }
    }
  }
  if (const YAML::Node recipe = node["recipe"]; recipe.IsDefined()) {
    if (!recipe.IsScalar()) throw input_error(place_in(path_, recipe), "recipe is no path");
    schema.read_file(recipe.Scalar());
  }
  cria::read_section(schema, node, "", path_,
                     [](const std::string& key) { return key == "recipe"; });
}

void RlhfRecipe::fill(ConfigSchema& schema, const std::string& section,
                      const Iteration* iteration) const {
  if (has_section(section)) read_section(schema, section, std::as_const(root_)[section]);
  if (iteration != nullptr && iteration->node.IsMap()) {
    const YAML::Node node = iteration->node[section];
    if (node.IsDefined() && !node.IsScalar()) read_section(schema, section, node);
  }
  for (const Assignment& assignment : assignments_) {
    if (assignment.section != section) continue;
    schema.set(is_trainer(section) ? assignment.rest : section + "." + assignment.rest);
  }
}

std::unique_ptr<StageSettings<PreferencesConfig>> RlhfRecipe::preferences(size_t iteration) const {
  auto settings = new_settings<PreferencesConfig>();
  share(settings->schema);
  fill(settings->schema, "preferences", &stages_[iteration]);
  return settings;
}

std::unique_ptr<StageSettings<RewardConfig>> RlhfRecipe::reward(size_t iteration,
                                                                bool safety) const {
  auto settings = new_settings<RewardConfig>();
  share(settings->schema);
  fill(settings->schema, safety ? "reward_safety" : "reward_helpfulness", &stages_[iteration]);
  return settings;
}

std::unique_ptr<StageSettings<RejectionConfig>> RlhfRecipe::rejection(size_t iteration) const {
  auto settings = new_settings<RejectionConfig>();
  share(settings->schema);
  settings->set("rejection.prompts", preferences(iteration)->config.preferences.prompts);
  fill(settings->schema, "rejection", &stages_[iteration]);
  return settings;
}

std::unique_ptr<StageSettings<PpoConfig>> RlhfRecipe::ppo(size_t iteration) const {
  auto settings = new_settings<PpoConfig>();
  share(settings->schema);
  settings->set("data.train", preferences(iteration)->config.preferences.prompts);
  fill(settings->schema, "ppo", &stages_[iteration]);
  return settings;
}

std::unique_ptr<StageSettings<EvaluationConfig>> RlhfRecipe::evaluation() const {
  auto settings = new_settings<EvaluationConfig>();
  share(settings->schema);
  fill(settings->schema, "evaluation", nullptr);
  return settings;
}

}  // namespace cria
