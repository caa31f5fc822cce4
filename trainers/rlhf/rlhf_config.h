// The recipe of `cria rlhf`: what all iterations share, a section for each of their stages, and the
// iterations themselves.
//
//   model: {path: …}                    the fine-tuned model that V1 begins with
//   data: {max_length: …}               these two groups hold for every section that does not say
//   training: {seed: …, output_dir: …}  otherwise
//   preferences: {…}                    two answers to each prompt, and who rates them
//   reward_helpfulness: {…}             as a recipe of `cria reward`; either of the two may be
//   reward_safety: {…}                  left out
//   rejection: {…}                      as a recipe of `cria rejection`
//   ppo: {…}                            as a recipe of `cria ppo`
//   evaluation: {…}                     prompts that are never trained on
//   stages: [{name: V1}, {name: V2, rejection: {…}}, {name: V3, ppo: true}]
//
// A trainer's section may begin with `recipe: FILE`, and an entry of `stages` may hold any section,
// read after the one that all share.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <yaml-cpp/yaml.h>

#include "trainers/ppo/ppo_config.h"
#include "trainers/recipe_sections.h"
#include "trainers/rejection/rejection_config.h"
#include "trainers/reward.h"

namespace cria {

struct SharedConfig {
  struct {
    int64_t max_length = 4096;
    std::string separator;
    bool skip_bad_lines = false;
  } data;
  struct {
    uint64_t seed = 0;
    std::string precision = "fp32";
    std::string device = "auto";
    std::string output_dir;
  } training;
};

struct PreferencesConfig : SharedConfig {
  struct : SamplingConfig {
    std::vector<std::string> prompts;
    int64_t pairs = 0;
    std::vector<std::string> models = {"latest", "previous"};
    std::vector<double> temperatures = {0.7, 1.0, 1.3};
    std::string rating_command;  // empty: ratings.jsonl is written by someone else
    double held_out = 0.1;
    std::vector<std::string> helpful;  // pairs that are there before V1
    std::vector<std::string> safety;
    double helpful_share = 1;
    double safety_share = 1;
  } preferences;
};

struct EvaluationConfig : SharedConfig {
  struct : SamplingConfig {
    std::vector<std::string> prompts;
    double temperature = 1.0;
    std::string reward_precision = "fp32";
  } evaluation;
};

void declare(ConfigSchema& schema, PreferencesConfig& config);
void declare(ConfigSchema& schema, EvaluationConfig& config);
void validate(const PreferencesConfig& config);

class RlhfRecipe {
 public:
  // An input Error names the file and line, or the assignment, that is wrong. What a section says
  // is checked when its settings are asked for.
  RlhfRecipe(const std::string& path, const std::vector<std::string>& assignments);

  const std::string& model() const { return model_; }
  const SharedConfig& shared() const { return shared_; }
  size_t iterations() const { return stages_.size(); }
  const std::string& name(size_t iteration) const { return stages_[iteration].name; }
  bool has_section(std::string_view section) const {
    return root_[std::string(section)].IsDefined();
  }
  bool has_ppo(size_t iteration) const { return stages_[iteration].has_ppo; }

  // The settings that the recipe gives a stage; with all that is required but what the iteration
  // gives.
  std::unique_ptr<StageSettings<PreferencesConfig>> preferences(size_t iteration) const;
  std::unique_ptr<StageSettings<RewardConfig>> reward(size_t iteration, bool safety) const;
  std::unique_ptr<StageSettings<RejectionConfig>> rejection(size_t iteration) const;
  std::unique_ptr<StageSettings<PpoConfig>> ppo(size_t iteration) const;
  std::unique_ptr<StageSettings<EvaluationConfig>> evaluation() const;

 private:
  struct Iteration {
    std::string name;
    bool has_ppo = false;
    YAML::Node node;
  };
  struct Assignment {
    std::string section;
    std::string rest;  // key.path=value within it
  };

  void read_stages();
  void share(ConfigSchema& schema) const;
  void read_section(ConfigSchema& schema, const std::string& section, const YAML::Node& node) const;
  // With the section that all share, the iteration's and what was assigned to it.
  void fill(ConfigSchema& schema, const std::string& section, const Iteration* iteration) const;

  const std::string path_;
  std::string model_;
  SharedConfig shared_;
  ConfigSchema schema_;
  YAML::Node root_;
  std::vector<Iteration> stages_;
  std::vector<Assignment> assignments_;
};

}  // namespace cria
