#include "trainers/study.h"

#include <algorithm>
#include <filesystem>
#include <limits>
#include <memory>

#include <spdlog/spdlog.h>

#include "cria/io/atomic_directory.h"
#include "cria/io/checksum.h"
#include "cria/io/directory_lock.h"
#include "cria/io/hugging_face.h"

#include "trainers/evaluation/demo_questions.h"
#include "trainers/plot_file.h"
#include "trainers/pretrained_model.h"
#include "trainers/rejection/answer_sampler.h"
#include "trainers/rlhf/answer_file.h"
#include "trainers/sample_files.h"
#include "trainers/sft.h"
#include "trainers/signals.h"
#include "trainers/study/study_figures.h"

namespace cria {

namespace {

using nlohmann::json;
using nlohmann::ordered_json;

std::string tokenizer_path(const TrainConfig& config) {
  return config.tokenizer.path.empty() ? config.model.path + "/tokenizer.model"
                                       : config.tokenizer.path;
}

class Study {
 public:
  explicit Study(const StudyRecipe& recipe)
      : recipe_(recipe),
        group_(recipe.config().study),
        common_(recipe.variants().front().config()),
        communicator_(make_communicator()),
        backend_(make_backend(common_.training.device)),
        tokenizer_(tokenizer_path(common_)) {
    if (group_.has_reward_models()) {
      rewards_ =
          std::make_unique<RewardModels>(group_.reward_models("study"), *backend_, tokenizer_);
    }
    read_what_is_asked();
  }

  int run() {
    install_stop_signals();
    if (communicator_->is_root()) {
      std::filesystem::create_directories(recipe_.output_dir());
      lock_ = std::make_unique<DirectoryLock>("training.output_dir", recipe_.output_dir());
    }
    communicator_->barrier();
    for (const StudyVariant& variant : recipe_.variants()) {
      say(fmt::format("variant {}: training", variant.name));
      if (const int exit_code = sft(variant.config(), variant.settings->text())) return exit_code;
      say(fmt::format("variant {}: answers", variant.name));
      if (const int signal = answer(variant)) return 128 + signal;
    }
    if (communicator_->is_root()) report();
    communicator_->barrier();
    return 0;
  }

 private:
  void say(const std::string& line) const {
    if (communicator_->is_root()) spdlog::info("{}", line);
  }

  // Before anything is trained, so that a mistake in the prompts shows at once.
  void read_what_is_asked() {
    max_context_ = rewards_ ? rewards_->max_length() : std::numeric_limits<int64_t>::max();
    for (const StudyVariant& variant : recipe_.variants()) {
      const TrainConfig& config = variant.config();
      const ModelConfig model = read_model_config(config.model.path);
      max_context_ = std::min(max_context_, model.max_position_embeddings);
      if (Tokenizer(tokenizer_path(config)).model_bytes() != tokenizer_.model_bytes()) {
        throw input_error(
            "model.path",
            fmt::format("variant {} has another tokenizer than the first one", variant.name),
            "variants are asked the same tokens");
      }
    }
    const ModelConfig model = read_model_config(common_.model.path);
    prompts_ = read_numbered_prompts(
        group_.prompts, prompt_options(common_.data), tokenizer_, [&](const Prompt& prompt) {
          validate({.prompt = prompt.ids, .settings = group_.settings(0, 0)}, model, max_context_,
                   prompt.where);
        });
    if (group_.checker == "demo_world") questions_ = read_demo_questions(group_.prompts);
  }

  // What the answers and scores of a variant depend on.
  ordered_json answer_settings(const std::string& model) {
    ordered_json settings;
    settings["the trained model"] = model_checksum(model);
    settings["study.prompts"] = file_checksums(group_.prompts);
    settings["study.helpfulness and study.safety"] = rewards_ ? rewards_->checksum() : "none";
    settings["study.num_samples"] = group_.num_samples;
    settings["study.temperature"] = group_.temperature;
    add_settings(settings, "study", group_);
    settings["study.batch_tokens"] = group_.batch_tokens;
    settings["training.precision"] = common_.training.precision;
    settings["training.seed"] = common_.training.seed;
    return settings;
  }

  int answer(const StudyVariant& variant) {
    const std::string model = variant.file("final");
    const std::string path = variant.file("answers.jsonl");
    const ordered_json settings = answer_settings(model);
    if (communicator_->is_root()) {
      keep_sampling_settings(settings, variant.file("answers.json"), path);
    }
    AnswerJob job{.model = model, .requests = {}};
    for (const Prompt& prompt : prompts_.prompts) {
      for (int64_t sample = 0; sample < group_.num_samples; ++sample) {
        job.requests.push_back({.prompt = &prompt,
                                .key = sample_key(0, prompt.number, sample),
                                .temperature = group_.temperature});
      }
    }
    return sample_answers(path, std::span(&job, 1),
                          {.sampling = group_,
                           .max_context = max_context_,
                           .seed = common_.training.seed,
                           .precision = common_.training.precision},
                          tokenizer_, *communicator_, *backend_);
  }

  // The root alone.
  void report() {
    std::vector<JudgedVariant> judged;
    for (const StudyVariant& variant : recipe_.variants()) judged.push_back(judge(variant));
    const StudyFigures figures({.has_helpfulness = !group_.helpfulness.empty(),
                                .has_safety = !group_.safety.empty(),
                                .by = group_.by,
                                .bins = group_.bins,
                                .x_title = group_.x_title},
                               std::move(judged));
    const std::string table = figures.table();
    write_file_atomically(file("study.json"), figures.to_json().dump(2) + "\n");
    write_file_atomically(file("study.txt"), table);
    for (const std::string& score : figures.scores()) {
      write_plot_if_possible(file(score + "_distribution.svg"), figures.distribution_plot(score));
    }
    if (const auto plot = figures.score_plot()) {
      write_plot_if_possible(file("scores.svg"), *plot);
    }
    if (const auto plot = figures.right_plot()) {
      write_plot_if_possible(file("right.svg"), *plot);
    }
    say("variants compared\n" + table);
  }

  std::string file(const std::string& name) const { return recipe_.output_dir() + "/" + name; }

  JudgedVariant judge(const StudyVariant& variant) {
    const std::vector<SampledAnswer> sampled = read_sampled_answers(variant.file("answers.jsonl"));
    JudgedVariant judged{.name = variant.name, .x = variant.x};
    std::vector<Answer> sequences;
    for (size_t i = 0; i < sampled.size(); ++i) {
      const Prompt& prompt = prompts_.prompts[i / static_cast<size_t>(group_.num_samples)];
      EvaluatedAnswer answer{.prompt = prompt.given,
                             .completion = sampled[i].completion,
                             .ids = sampled[i].ids,
                             .finished = sampled[i].finished_by_eos,
                             .temperature = sampled[i].temperature,
                             .fields = json::object(),
                             .where = prompt.where};
      sequences.push_back({.sequence = {.ids = prompt.ids}, .is_safety_prompt = prompt.is_safety});
      std::vector<int32_t>& ids = sequences.back().sequence.ids;
      ids.insert(ids.end(), answer.ids.begin(), answer.ids.end());
      judged.answers.push_back(std::move(answer));
    }
    add_prompt_fields(judged.answers, group_.prompts);
    if (rewards_) judged.scores = scores_of(variant, sequences);
    if (group_.checker == "demo_world") {
      for (const EvaluatedAnswer& answer : judged.answers) {
        judged.judgements.push_back(demo::judge(questions_.at(answer.prompt), answer.completion));
      }
    }
    return judged;
  }

  // Scored once: scores.jsonl has a line for each of answers.jsonl.
  std::vector<AnswerScore> scores_of(const StudyVariant& variant, std::span<const Answer> answers) {
    const std::string path = variant.file("scores.jsonl");
    std::vector<AnswerScore> scores;
    if (std::filesystem::exists(path)) {
      JsonLines lines(path);
      for (json line; lines.next(line);) {
        scores.push_back({.combined = line.at("score"),
                          .helpfulness = line.at("helpfulness"),
                          .safety = line.at("safety")});
      }
      if (scores.size() == answers.size()) return scores;
      throw input_error(path, fmt::format("{} scores of {} answers", scores.size(), answers.size()),
                        "delete it to score them again");
    }
    if (!loaded_) {
      arena_ = std::make_unique<Arena>(backend_->memory());
      rewards_->reserve(*arena_);
      arena_->allocate();
      rewards_->load();
      loaded_ = true;
    }
    scores = rewards_->score(answers);
    std::string text;
    for (const AnswerScore& score : scores) {
      text += fmt::format("{{\"score\": {}, \"helpfulness\": {}, \"safety\": {}}}\n",
                          score.combined, score.helpfulness, score.safety);
    }
    write_file_atomically(path, text);
    return scores;
  }

  const StudyRecipe& recipe_;
  const decltype(StudyConfig::study)& group_;
  const TrainConfig& common_;  // of the first variant: seed, precision, device, form of prompts
  std::unique_ptr<Communicator> communicator_;
  std::unique_ptr<Backend> backend_;
  const Tokenizer tokenizer_;
  std::unique_ptr<RewardModels> rewards_;  // none where none is given
  std::unique_ptr<Arena> arena_;           // of the reward models
  bool loaded_ = false;
  NumberedPrompts prompts_;
  DemoQuestions questions_;
  int64_t max_context_ = 0;
  std::unique_ptr<DirectoryLock> lock_;  // of the root
};

}  // namespace

int study(const StudyRecipe& recipe) { return Study(recipe).run(); }

}  // namespace cria
