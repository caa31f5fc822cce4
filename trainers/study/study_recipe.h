// The recipe of `cria study`: one of `cria sft`, and what differs between its variants.
//
//   model, data, training, optimizer …   as a recipe of `cria sft`; output_dir holds all variants
//   study: {prompts: […], …}             what every variant is asked, and who judges its answers
//   variants:
//     - {name: none, x: 0, data: {train: […]}}
//     - {name: all, x: 1, data: {train: […]}}
//
// An entry of `variants` may hold any key of `cria sft` but those that the study gives.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "trainers/recipe_sections.h"
#include "trainers/reward_models_config.h"
#include "trainers/sampling_config.h"
#include "trainers/train_config.h"

namespace cria {

struct StudyConfig {
  // Both reward models may be left out where there is a checker.
  struct : SamplingConfig, RewardModelsConfig {
    std::vector<std::string> prompts;
    std::string checker = "none";
    int64_t num_samples = 1;
    double temperature = 1.0;
    std::vector<std::string> by = {"category"};
    int64_t bins = 40;
    std::string x_title;
  } study;
};

void declare(ConfigSchema& schema, StudyConfig& config);

struct StudyVariant {
  std::string name;
  std::optional<double> x;  // where it stands in plots
  std::unique_ptr<StageSettings<TrainConfig>> settings;

  const TrainConfig& config() const { return settings->config; }
  std::string file(const std::string& file_name) const {
    return config().training.output_dir + "/" + file_name;
  }
};

class StudyRecipe {
 public:
  // `assignments` hold for all variants, or for the group `study`. An input Error names the file
  // and line, or the assignment, that is wrong.
  StudyRecipe(const std::string& path, const std::vector<std::string>& assignments);

  const StudyConfig& config() const { return study_.config; }
  const std::vector<StudyVariant>& variants() const { return variants_; }
  const std::string& output_dir() const { return output_dir_; }

  // Everything in force: the study's keys, then those of each variant.
  std::string print() const;

 private:
  void read_variant(const YAML::Node& node);
  void validate() const;

  const std::string path_;
  YAML::Node root_;
  std::vector<std::string> assignments_;  // of the variants
  StageSettings<StudyConfig> study_;
  std::string output_dir_;
  std::vector<StudyVariant> variants_;
};

}  // namespace cria
