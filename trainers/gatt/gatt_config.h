// The keys of `cria gatt`: those of fine-tuning, but for data.train, which the run makes itself,
// and the group `gatt`.
#pragma once

#include "cria/data/ghost_attention.h"
#include "cria/generate/generator.h"

#include "trainers/reward_models_config.h"
#include "trainers/sampling_config.h"
#include "trainers/train_config.h"

namespace cria {

// A kind of instruction whose values the model names itself, or the user.
struct ListedKind {
  const char* name;  // hobby, language, figure
  std::vector<std::string> values;
  std::vector<std::string> prompts;
  std::string long_form;  // {} stands for the value
  std::string short_form;
};

struct GattConfig : TrainConfig {
  struct : SamplingConfig, RewardModelsConfig {
    std::string sampler;  // empty: model.path
    std::string checker = "none";

    std::string source = "lists";
    std::vector<std::string> instructions;
    // "Figure: Napoleon." is the paper's.
    ListedKind hobby{.name = "hobby",
                     .values = {},
                     .prompts = {"List twenty hobbies, one on each line."},
                     .long_form = "You like {}. Keep it in mind in all that you say.",
                     .short_form = "Hobby: {}."};
    ListedKind language{.name = "language",
                        .values = {},
                        .prompts = {"List twenty languages, one on each line."},
                        .long_form = "Always answer in {}.",
                        .short_form = "Language: {}."};
    ListedKind figure{.name = "figure",
                      .values = {},
                      .prompts = {"List twenty famous people, one on each line."},
                      .long_form = "From now on, always act as {}.",
                      .short_form = "Figure: {}."};
    int64_t list_samples = 4;
    double list_temperature = 1.0;
    int64_t list_max_new_tokens = 256;
    int64_t list_max_words = 3;
    int64_t list_min_count = 1;
    int64_t num_instructions = 1000;
    double combine_share = 0.25;

    std::vector<std::string> dialogues;
    int64_t repeats = 1;
    int64_t max_turns = 32;
    std::string history = "sampled";
    std::string targets = "last";
    std::string placement = "user";
    double short_share = 0.5;
    std::string truncated = "drop";

    int64_t num_samples = 1;
    double temperature = 1.0;
    int64_t chunk_dialogues = 0;

    int64_t preference_from_turn = 2;
  } gatt;

  const std::string& sampler_path() const {
    return gatt.sampler.empty() ? model.path : gatt.sampler;
  }
  std::vector<const ListedKind*> listed_kinds() const {
    return {&gatt.hobby, &gatt.language, &gatt.figure};
  }
  Placement placement() const { return parse_placement(gatt.placement, "gatt.placement"); }
  int64_t chunk_dialogues() const;
  std::string file(const std::string& name) const { return training.output_dir + "/" + name; }
};

void declare(ConfigSchema& schema, GattConfig& config);
// Beyond validate(const TrainConfig&, …).
void validate(const GattConfig& config);

// All that samples depend on, by key; files and models by their checksums.
nlohmann::ordered_json sampling_settings(const GattConfig& config,
                                         const std::string& sampler_checksum,
                                         const std::string& reward_model_checksum,
                                         const std::string& tokenizer_model);

}  // namespace cria
