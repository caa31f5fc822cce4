#include "trainers/reward_models.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "cria/io/checksum.h"
#include "cria/io/hugging_face.h"

#include "trainers/pretrained_model.h"

namespace cria {

namespace {

constexpr double kUnsafe = 0.15;  // sigma(R_s) below: the safety model decides

void check_directory(const std::string& directory, const std::string& key,
                     const Tokenizer& tokenizer) {
  const ModelConfig config = read_model_config(directory);
  if (config.head != HeadKind::score) {
    throw input_error(key, directory + " has no score head",
                      "give a reward model (LlamaForSequenceClassification)");
  }
  require_tokenizer(directory, config, tokenizer, key);
}

}  // namespace

float piecewise_reward(float helpfulness, float safety, bool is_safety_prompt) {
  static const double threshold = std::log(kUnsafe / (1 - kUnsafe));  // the logit
  return is_safety_prompt || double{safety} < threshold ? safety : helpfulness;
}

RewardModels::Part::Part(const std::string& model_directory, const RewardModelOptions& options,
                         Backend& backend)
    : directory(model_directory),
      layout(read_model_config(model_directory)),
      model(layout, dtype_of_precision(options.precision), backend),
      scorer(model, options.batch_tokens) {}

RewardModels::RewardModels(const RewardModelOptions& options, Backend& backend,
                           const Tokenizer& tokenizer)
    : precision_(options.precision) {
  const auto key = [&](const char* name) {
    return options.group.empty() ? name : options.group + "." + name;
  };
  if (options.helpfulness.empty() && options.safety.empty()) {
    throw input_error(key("helpfulness"), "no reward model is given",
                      "name its directory here, or as " + key("safety"));
  }
  const auto make = [&](const std::string& directory, const char* name) -> std::unique_ptr<Part> {
    if (directory.empty()) return nullptr;
    check_directory(directory, key(name), tokenizer);
    return std::make_unique<Part>(directory, options, backend);
  };
  helpfulness_ = make(options.helpfulness, "helpfulness");
  safety_ = make(options.safety, "safety");
}

std::vector<RewardModels::Part*> RewardModels::parts() const {
  std::vector<Part*> given;
  for (Part* part : {helpfulness_.get(), safety_.get()}) {
    if (part != nullptr) given.push_back(part);
  }
  return given;
}

void RewardModels::reserve(Arena& arena) {
  for (Part* part : parts()) {
    part->model.reserve(arena, /*training=*/false);
    part->scorer.reserve(arena);
  }
}

void RewardModels::load() {
  for (Part* part : parts()) {
    part->model.prepare();
    read_weights(part->directory, part->model.weights, part->model.backend());
    part->model.weights_changed();
  }
}

std::vector<AnswerScore> RewardModels::score(std::span<const Answer> answers) {
  std::vector<Example> sequences;
  sequences.reserve(answers.size());
  for (const Answer& answer : answers) {
    sequences.push_back({.ids = answer.sequence.ids});
    sequences.back().labels.assign(answer.sequence.ids.size(), kNoLabel);
  }
  const auto rewards = [&](const std::unique_ptr<Part>& part) {
    if (!part) return std::vector<float>(answers.size(), 0.0f);
    for (const Example& sequence : sequences) part->scorer.check(sequence, "an answer to score");
    return part->scorer.rewards(sequences);
  };
  const std::vector<float> helpfulness = rewards(helpfulness_);
  const std::vector<float> safety = rewards(safety_);

  std::vector<AnswerScore> scores(answers.size());
  for (size_t i = 0; i < answers.size(); ++i) {
    scores[i] = {.helpfulness = helpfulness[i], .safety = safety[i]};
    if (!safety_) {
      scores[i].combined = helpfulness[i];
    } else if (!helpfulness_) {
      scores[i].combined = safety[i];
    } else {
      scores[i].combined = piecewise_reward(helpfulness[i], safety[i], answers[i].is_safety_prompt);
    }
  }
  return scores;
}

const std::string& RewardModels::checksum() {
  if (checksum_.empty()) {
    const auto sum = [](const std::unique_ptr<Part>& part) {
      return part ? model_checksum(part->directory) : "none";
    };
    checksum_ = sha256(
        fmt::format("helpfulness {}, safety {}, {}", sum(helpfulness_), sum(safety_), precision_));
  }
  return checksum_;
}

int64_t RewardModels::max_length() const {
  int64_t length = std::numeric_limits<int64_t>::max();
  for (const Part* part : parts()) {
    length = std::min(
        {length, part->model.config().max_position_embeddings, part->scorer.batch_tokens()});
  }
  return length;
}

std::vector<AnswerScore> score_over_ranks(std::span<const Answer> answers, RewardModels& models,
                                          Communicator& communicator) {
  const auto rank = static_cast<size_t>(communicator.rank());
  const auto ranks = static_cast<size_t>(communicator.size());
  const size_t begin = answers.size() * rank / ranks;
  const size_t end = answers.size() * (rank + 1) / ranks;
  std::vector<double> values(3 * answers.size(), 0.0);  // of the other ranks' answers 0
  size_t i = 3 * begin;
  for (const AnswerScore& score : models.score(answers.subspan(begin, end - begin))) {
    values[i++] = double{score.combined};
    values[i++] = double{score.helpfulness};
    values[i++] = double{score.safety};
  }
  communicator.all_reduce_sum(std::span(values));
  std::vector<AnswerScore> scores(answers.size());
  for (size_t k = 0; k < scores.size(); ++k) {
    scores[k] = {.combined = static_cast<float>(values[3 * k]),
                 .helpfulness = static_cast<float>(values[3 * k + 1]),
                 .safety = static_cast<float>(values[3 * k + 2])};
  }
  return scores;
}

}  // namespace cria
