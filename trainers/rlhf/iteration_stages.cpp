#include "trainers/rlhf/iteration_stages.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "cria/data/json_lines.h"
#include "cria/io/atomic_directory.h"
#include "cria/io/file.h"

#include "trainers/ppo.h"
#include "trainers/rejection.h"
#include "trainers/reward.h"
#include "trainers/rlhf/iteration_evaluation.h"
#include "trainers/rlhf/preference_collection.h"

namespace cria {

namespace {

namespace fs = std::filesystem;

constexpr const char* kStart = "V0";

int exit_code_of(int signal) { return signal == 0 ? 0 : 128 + signal; }

// Files of JSON Lines, gzipped or not, one after the other.
std::string joined(const std::vector<std::string>& paths) {
  std::string text;
  for (const std::string& path : paths) {
    LineReader lines(path);
    for (std::string line; lines.next(line);) {
      if (!line.empty()) text += line + "\n";
    }
  }
  return text;
}

// What a reward model learns from, of its own category and of the other, and what it is tested on.
struct RewardData {
  std::vector<std::string> own, other, held_out;  // files
  double own_share = 1;
  std::string own_name, other_name;
};

class Stages {
 public:
  explicit Stages(const RlhfRecipe& recipe) : recipe_(recipe) {}

  std::vector<IterationStage> all() {
    for (size_t i = 0; i < recipe_.iterations(); ++i) {
      add_collection(i);
      for (const bool safety : {false, true}) {
        if (recipe_.has_section(reward_name(safety))) add_reward(i, safety);
      }
      add_rejection(i);
      if (recipe_.has_ppo(i)) add_ppo(i);
      add_evaluation(i);
    }
    return std::move(stages_);
  }

  std::string directory(size_t iteration, const std::string& stage) const {
    return recipe_.shared().training.output_dir + "/" + recipe_.name(iteration) + "/" + stage;
  }

 private:
  static const char* reward_name(bool safety) {
    return safety ? "reward_safety" : "reward_helpfulness";
  }
  static const char* category(bool safety) { return safety ? "safety" : "helpful"; }

  // The model that so many iterations have made.
  NamedModel model_after(size_t iterations) const {
    if (iterations == 0) return {kStart, recipe_.model()};
    const size_t last = iterations - 1;
    return {recipe_.name(last),
            directory(last, recipe_.has_ppo(last) ? "ppo" : "rejection") + "/final"};
  }

  // A model by the word that the recipe has for it.
  NamedModel model_named(const std::string& word, size_t iteration) const {
    if (word == "latest") return model_after(iteration);
    if (word == "previous") return model_after(iteration == 0 ? 0 : iteration - 1);
    if (word == "start" || word == kStart) return model_after(0);
    for (size_t i = 0; i < recipe_.iterations(); ++i) {
      if (recipe_.name(i) != word) continue;
      if (i < iteration) return model_after(i + 1);
      throw input_error("preferences.models",
                        fmt::format("{} is not there yet in {}", word, recipe_.name(iteration)));
    }
    if (fs::is_directory(word)) return {word, word};
    throw input_error("preferences.models", fmt::format("'{}' is no model", word),
                      "latest, previous, start, the name of an iteration or a directory");
  }

  RewardDirectories rewards(size_t iteration) const {
    const auto directory_of = [&](bool safety) {
      return recipe_.has_section(reward_name(safety))
                 ? directory(iteration, reward_name(safety)) + "/final"
                 : std::string();
    };
    return {.helpfulness = directory_of(false), .safety = directory_of(true)};
  }

  static void add(StageInputs& inputs, const std::string& key, const std::string& path) {
    if (!path.empty()) inputs.emplace_back(key, path);
  }
  static void add(StageInputs& inputs, const std::string& key,
                  const std::vector<std::string>& paths) {
    for (size_t i = 0; i < paths.size(); ++i)
      add(inputs, fmt::format("{} {}", key, i + 1), paths[i]);
  }
  static void add(StageInputs& inputs, const std::string& key, const std::vector<DataPath>& paths) {
    for (size_t i = 0; i < paths.size(); ++i) {
      add(inputs, fmt::format("{} {}", key, i + 1), paths[i].path);
    }
  }

  // `settings` are whole now: all required keys are there, and so are the files that no stage
  // makes.
  template <typename Config>
  void add_stage(size_t iteration, const std::string& name,
                 const std::shared_ptr<StageSettings<Config>>& settings, StageInputs inputs,
                 std::vector<std::string> outputs, std::function<int(Communicator&)> run) {
    const std::string stage = recipe_.name(iteration) + "/" + name;
    try {
      settings->schema.check();
    } catch (const Error& error) {
      throw input_error(stage, error.what());
    }
    for (const auto& [key, path] : inputs) {
      if (!path.starts_with(recipe_.shared().training.output_dir + "/") && !fs::exists(path)) {
        throw input_error(key, fmt::format("{} is not there, which {} needs", path, stage));
      }
    }
    IterationStage added{.files = {.name = stage,
                                   .directory = directory(iteration, name),
                                   .inputs = std::move(inputs),
                                   .outputs = std::move(outputs)},
                         .settings = {},
                         .run = std::move(run)};
    added.settings = settings->text();
    stages_.push_back(std::move(added));
  }

  void add_collection(size_t i) {
    const std::shared_ptr settings = recipe_.preferences(i);
    validate(settings->config);
    std::vector<NamedModel> models;
    for (const std::string& word : settings->config.preferences.models) {
      NamedModel model = model_named(word, i);
      const bool is_there = std::any_of(models.begin(), models.end(), [&](const NamedModel& other) {
        return other.directory == model.directory;
      });
      if (!is_there) models.push_back(std::move(model));
    }
    StageInputs inputs;
    for (const NamedModel& model : models) add(inputs, "model " + model.name, model.directory);
    add(inputs, "preferences.prompts", settings->config.preferences.prompts);
    const std::string place = directory(i, "preferences");
    const int64_t first_pair = std::exchange(pairs_, pairs_ + settings->config.preferences.pairs);
    add_stage(i, "preferences", settings, std::move(inputs), collection_files(place),
              [this_name = recipe_.name(i), settings, models, place, first_pair,
               number = static_cast<int64_t>(i + 1)](Communicator& communicator) {
                return exit_code_of(collect_preferences({.config = settings->config,
                                                         .resolved_config = settings->text(),
                                                         .name = this_name,
                                                         .iteration = number,
                                                         .first_pair = first_pair,
                                                         .models = models,
                                                         .directory = place},
                                                        communicator));
              });
  }

  RewardData reward_data(size_t iteration, bool safety) const {
    const PreferencesConfig config = recipe_.preferences(iteration)->config;
    const auto& p = config.preferences;
    RewardData data{.own = safety ? p.safety : p.helpful,
                    .other = safety ? p.helpful : p.safety,
                    .held_out = {},
                    .own_share = safety ? p.safety_share : p.helpful_share,
                    .own_name = category(safety),
                    .other_name = category(!safety)};
    for (size_t i = 0; i <= iteration; ++i) {
      const std::string place = directory(i, "preferences") + "/";
      data.own.push_back(place + data.own_name + ".jsonl");
      data.other.push_back(place + data.other_name + ".jsonl");
      data.held_out.push_back(place + "held_out_" + data.own_name + ".jsonl");
    }
    if (!(data.own_share < 1)) data.other.clear();
    return data;
  }

  void add_reward(size_t i, bool safety) {
    const std::string name = reward_name(safety);
    const std::string place = directory(i, name);
    const RewardData data = reward_data(i, safety);
    const std::shared_ptr settings = recipe_.reward(i, safety);
    settings->set("model.path", recipe_.model());
    settings->set("training.output_dir", place);
    std::vector<nlohmann::json> train = {
        {{"path", place + "/pairs.jsonl"}, {"weight", data.own_share}}};
    if (!data.other.empty()) {
      train.push_back({{"path", place + "/other_pairs.jsonl"}, {"weight", 1 - data.own_share}});
    }
    settings->set("data.train", train);
    const bool has_eval = settings->schema.given("data.eval");
    if (!has_eval) settings->set("data.eval", std::vector{place + "/held_out.jsonl"});

    StageInputs inputs = {{"model.path", recipe_.model()}};
    add(inputs, data.own_name + " pairs", data.own);
    add(inputs, data.other_name + " pairs", data.other);
    add(inputs, "held-out pairs", data.held_out);
    if (has_eval) add(inputs, "data.eval", settings->config.data.eval);
    add_stage(i, name, settings, std::move(inputs), {place + "/final"},
              [settings, data, place, name, has_eval](Communicator& communicator) {
                const std::string held_out = joined(data.held_out);
                if (communicator.is_root()) {
                  write_reward_data(data, held_out, place, name);
                }
                communicator.barrier();
                if (!has_eval && held_out.empty()) {
                  settings->set("data.eval", std::vector<std::string>());
                }
                return reward(settings->config, settings->text());
              });
  }

  // All pairs so far, in one file of each category: each pair counts the same.
  static void write_reward_data(const RewardData& data, const std::string& held_out,
                                const std::string& place, const std::string& name) {
    const auto write = [&](const std::string& file, const std::string& category,
                           const std::vector<std::string>& paths) {
      const std::string lines = joined(paths);
      if (lines.empty()) {
        throw input_error(name, fmt::format("there is no {} pair to learn from", category),
                          "collect more, give some, or set the shares of preferences to 1");
      }
      write_file_atomically(place + "/" + file, lines);
    };
    write("pairs.jsonl", data.own_name, data.own);
    if (!data.other.empty()) write("other_pairs.jsonl", data.other_name, data.other);
    write_file_atomically(place + "/held_out.jsonl", held_out);
  }

  void add_rejection(size_t i) {
    const std::string place = directory(i, "rejection");
    const std::shared_ptr settings = recipe_.rejection(i);
    settings->set("model.path", model_after(i).directory);
    settings->set("training.output_dir", place);
    settings->set("rejection.helpfulness", rewards(i).helpfulness);
    settings->set("rejection.safety", rewards(i).safety);
    settings->set("rejection.iteration", i + 1);
    std::vector<std::string> pools;
    if (settings->config.rejection.pool == "all") {
      for (size_t j = 0; j < i; ++j) pools.push_back(directory(j, "rejection") + "/pool.jsonl");
    }
    settings->set("rejection.pools", pools);

    StageInputs inputs = {{"model.path", settings->config.model.path}};
    add(inputs, "rejection.generator", settings->config.rejection.generator);
    add(inputs, "rejection.helpfulness", rewards(i).helpfulness);
    add(inputs, "rejection.safety", rewards(i).safety);
    add(inputs, "rejection.prompts", settings->config.rejection.prompts);
    add(inputs, "rejection.pools", pools);
    add(inputs, "data.eval", settings->config.data.eval);
    add_stage(i, "rejection", settings, std::move(inputs),
              {place + "/pool.jsonl", place + "/selected.jsonl", place + "/final"},
              [settings](Communicator&) { return rejection(settings->config, settings->text()); });
  }

  void add_ppo(size_t i) {
    const std::string place = directory(i, "ppo");
    const std::shared_ptr settings = recipe_.ppo(i);
    settings->set("model.path", directory(i, "rejection") + "/final");
    settings->set("training.output_dir", place);
    settings->set("ppo.helpfulness", rewards(i).helpfulness);
    settings->set("ppo.safety", rewards(i).safety);

    StageInputs inputs = {{"model.path", settings->config.model.path}};
    add(inputs, "ppo.helpfulness", rewards(i).helpfulness);
    add(inputs, "ppo.safety", rewards(i).safety);
    add(inputs, "ppo.value_model", settings->config.ppo.value_model);
    add(inputs, "ppo.reference", settings->config.ppo.reference);
    add(inputs, "data.train", settings->config.data.train);
    add(inputs, "data.eval", settings->config.data.eval);
    add_stage(i, "ppo", settings, std::move(inputs), {place + "/final"},
              [settings](Communicator&) { return ppo(settings->config, settings->text()); });
  }

  void add_evaluation(size_t i) {
    const std::string place = directory(i, "evaluation");
    const std::shared_ptr settings = recipe_.evaluation();
    const auto answers_of = [&](const NamedModel& model) {
      HeldOutAnswers answers{model.name, place + "/answers_" + model.name + ".jsonl"};
      held_out_.push_back(answers);
      return answers.path;
    };
    StageInputs inputs;
    for (const HeldOutAnswers& answers : held_out_) {
      add(inputs, "answers of " + answers.name, answers.path);
    }
    std::vector<NamedModel> models;
    if (i == 0) models.push_back(model_after(0));
    models.push_back(model_after(i + 1));
    std::vector<std::string> outputs;
    for (const NamedModel& model : models) {
      add(inputs, "model " + model.name, model.directory);
      outputs.push_back(answers_of(model));
    }
    outputs.push_back(place + "/figures.json");
    const RewardDirectories before = i == 0 ? RewardDirectories() : rewards(i - 1);
    add(inputs, "helpfulness", rewards(i).helpfulness);
    add(inputs, "safety", rewards(i).safety);
    add(inputs, "helpfulness before", before.helpfulness);
    add(inputs, "safety before", before.safety);
    add(inputs, "evaluation.prompts", settings->config.evaluation.prompts);
    const std::string collection = directory(i, "preferences");
    const std::string sampling = directory(i, "rejection");
    for (const char* name : {"helpful", "safety", "held_out_helpful", "held_out_safety"}) {
      add(inputs, std::string(name) + " pairs", collection + "/" + name + ".jsonl");
    }
    add(inputs, "pool", sampling + "/pool.jsonl");
    add(inputs, "selected", sampling + "/selected.jsonl");
    add_stage(i, "evaluation", settings, std::move(inputs), std::move(outputs),
              [settings, place, models, before, collection, sampling, now = rewards(i),
               all_answers = held_out_](Communicator& communicator) {
                return exit_code_of(evaluate_iteration({.config = settings->config,
                                                        .resolved_config = settings->text(),
                                                        .directory = place,
                                                        .rewards = now,
                                                        .rewards_before = before,
                                                        .models = models,
                                                        .all_answers = all_answers,
                                                        .collection = collection,
                                                        .rejection = sampling},
                                                       communicator));
              });
  }

  const RlhfRecipe& recipe_;
  std::vector<IterationStage> stages_;
  std::vector<HeldOutAnswers> held_out_;  // of the iterations so far
  int64_t pairs_ = 0;                     // of the iterations so far
};

}  // namespace

std::vector<IterationStage> iteration_stages(const RlhfRecipe& recipe) {
  return Stages(recipe).all();
}

std::string iteration_figures_path(const RlhfRecipe& recipe, size_t iteration) {
  return Stages(recipe).directory(iteration, "evaluation") + "/figures.json";
}

}  // namespace cria
