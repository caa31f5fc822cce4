#include "trainers/study/study_recipe.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <utility>

namespace cria {

namespace {

// What a study gives its variants, and what would end one before its model is there.
constexpr std::array<std::string_view, 3> kGiven = {"training.output_dir", "training.stop_at_step",
                                                    "checkpoint.resume"};

bool is_own(const std::string& key) { return key == "study" || key == "variants"; }

// Of a run's directory.
bool is_name(const std::string& name) {
  return !name.empty() && name.front() != '.' && std::all_of(name.begin(), name.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' || c == '.';
  });
}

}  // namespace

void declare(ConfigSchema& schema, StudyConfig& c) {
  auto& s = c.study;
  schema.key("study.prompts", s.prompts, "files of prompts that every variant answers").required();
  declare_reward_models(schema, "study", s);
  schema.choice("study.checker", s.checker, {"none", "demo_world"},
                "a program that says which answers are right");
  schema.key("study.num_samples", s.num_samples, "answers to each prompt")
      .at_least(1)
      .at_most(1 << 16);
  schema.key("study.temperature", s.temperature, "of the answers; 0: the likeliest tokens")
      .at_least(0);
  declare_sampling(schema, "study", s);
  schema.key("study.by", s.by,
             "fields of the prompts' lines whose values make parts of the scores");
  schema.key("study.bins", s.bins, "of the histograms").at_least(1).at_most(10000);
  schema.key("study.x_title", s.x_title, "what the variants' x is, for the axis of plots");
}

StudyRecipe::StudyRecipe(const std::string& path, const std::vector<std::string>& assignments)
    : path_(path), root_(read_recipe(path)) {
  const YAML::Node study = std::as_const(root_)["study"];
  if (study.IsDefined() && !study.IsNull()) {
    if (!study.IsMap()) throw input_error(place_in(path_, study), "study is no group of keys");
    read_section(study_.schema, study, "study", path_);
  }
  for (const std::string& assignment : assignments) {
    if (assignment.starts_with("study.")) {
      study_.schema.set(assignment);
    } else {
      assignments_.push_back(assignment);
    }
  }
  study_.schema.check();
  const YAML::Node variants = std::as_const(root_)["variants"];
  if (!variants.IsDefined() || !variants.IsSequence() || variants.size() == 0) {
    throw input_error(variants.IsDefined() ? place_in(path_, variants) : path_,
                      "variants is no list", "write variants: [{name: …, …}, …]");
  }
  for (const YAML::Node& node : variants) read_variant(node);
  validate();
}

void StudyRecipe::read_variant(const YAML::Node& node) {
  const std::string where = place_in(path_, node);
  if (!node.IsMap()) throw input_error(where, "a variant is a group of keys", "as {name: …}");
  StudyVariant variant{
      .name = {}, .x = {}, .settings = std::make_unique<StageSettings<TrainConfig>>()};
  const YAML::Node name = node["name"], x = node["x"];
  if (name.IsDefined() && name.IsScalar()) variant.name = name.Scalar();
  const bool is_taken =
      std::any_of(variants_.begin(), variants_.end(),
                  [&](const StudyVariant& other) { return other.name == variant.name; });
  if (!is_name(variant.name) || is_taken) {
    throw input_error(where, fmt::format("'{}' cannot be the name of a variant", variant.name),
                      is_taken ? "another one has it" : "letters, digits, dots and dashes");
  }
  if (x.IsDefined()) {
    const std::string text = x.IsScalar() ? x.Scalar() : "";
    double value = 0;
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (code != std::errc() || end != text.data() + text.size()) {
      throw input_error(place_in(path_, x), "x is no number");
    }
    variant.x = value;
  }

  ConfigSchema& schema = variant.settings->schema;
  read_section(schema, root_, "", path_, is_own);
  for (const auto& group : node) {
    if (!group.first.IsScalar() || !group.second.IsMap()) continue;
    for (const auto& entry : group.second) {
      const std::string key =
          group.first.Scalar() + "." + (entry.first.IsScalar() ? entry.first.Scalar() : "");
      if (std::find(kGiven.begin(), kGiven.end(), key) != kGiven.end()) {
        throw input_error(place_in(path_, entry.first),
                          fmt::format("{} of a variant is given by the study", key),
                          "leave it out");
      }
    }
  }
  read_section(schema, node, "", path_,
               [](const std::string& key) { return key == "name" || key == "x"; });
  for (const std::string& assignment : assignments_) schema.set(assignment);
  schema.check();
  output_dir_ = variant.config().training.output_dir;
  variant.settings->set("training.output_dir", output_dir_ + "/" + variant.name);
  variants_.push_back(std::move(variant));
}

void StudyRecipe::validate() const {
  const auto& s = config().study;
  if (s.prompts.empty()) throw input_error("study.prompts", "names no file", "give at least one");
  if (!s.has_reward_models() && s.checker == "none") {
    throw input_error("study.helpfulness", "there is nothing that judges the answers",
                      "give study.helpfulness, study.safety or study.checker");
  }
  for (const StudyVariant& variant : variants_) {
    if (variant.config().training.stop_at_step) {
      throw input_error("training.stop_at_step", "variants are compared at their end",
                        "leave it out");
    }
    if (variant.x.has_value() == variants_.front().x.has_value()) continue;
    throw input_error(path_,
                      fmt::format("of the variants {} and {} only one has an x",
                                  variants_.front().name, variant.name),
                      "give all of them one, or none");
  }
}

std::string StudyRecipe::print() const {
  std::string text = study_.text();
  for (const StudyVariant& variant : variants_) {
    text += fmt::format("\n# variant {}\n{}", variant.name, variant.settings->text());
  }
  return text;
}

}  // namespace cria
