#include "trainers/rlhf/iteration_evaluation.h"

#include <algorithm>
#include <limits>

#include "cria/data/preference_record.h"
#include "cria/io/atomic_directory.h"
#include "cria/io/hugging_face.h"

#include "trainers/pretrained_model.h"
#include "trainers/rejection/answer_sampler.h"
#include "trainers/reward_models.h"
#include "trainers/rlhf/answer_file.h"
#include "trainers/signals.h"

namespace cria {

namespace {

using nlohmann::ordered_json;

constexpr int64_t kEvaluationAnswer = (1 << 20) - 3;  // a sample number that no other stage draws

// A mean that may be of nothing.
class Mean {
 public:
  void add(double value) {
    sum_ += value;
    ++count_;
  }
  int64_t count() const { return count_; }
  ordered_json value() const {
    return count_ > 0 ? ordered_json(sum_ / static_cast<double>(count_)) : ordered_json();
  }

 private:
  double sum_ = 0;
  int64_t count_ = 0;
};

// The new pairs of a category: those that are held out come last.
struct NewPairs {
  std::vector<Answer> answers;  // of each pair the chosen one, then the rejected one
  size_t learnt = 0;            // pairs

  size_t count() const { return answers.size() / 2; }
};

NewPairs read_new_pairs(const std::string& collection, const std::string& category) {
  NewPairs pairs;
  for (const char* front : {"/", "/held_out_"}) {
    if (front[1] != '\0') pairs.learnt = pairs.count();
    PreferenceReader reader(collection + front + category + ".jsonl");
    for (PreferenceRecord record; reader.next(record);) {
      for (const auto& content : {record.chosen, record.rejected}) {
        pairs.answers.push_back({.sequence = {.ids = std::get<Tokens>(content).ids}});
      }
    }
  }
  return pairs;
}

// Scores under the models of one iteration. Collective: each rank scores its share.
class RewardScores {
 public:
  RewardScores(const RewardDirectories& directories, const std::string& precision, Backend& backend,
               const Tokenizer& tokenizer, Communicator& communicator)
      : models_({.helpfulness = directories.helpfulness,
                 .safety = directories.safety,
                 .precision = precision},
                backend, tokenizer),
        arena_(backend.memory()),
        communicator_(communicator) {
    models_.reserve(arena_);
    arena_.allocate();
    models_.load();
  }

  std::vector<AnswerScore> of(std::span<const Answer> answers) {
    return score_over_ranks(answers, models_, communicator_);
  }

 private:
  RewardModels models_;
  Arena arena_;
  Communicator& communicator_;
};

class Evaluation {
 public:
  Evaluation(const IterationEvaluation& evaluation, Communicator& communicator)
      : e_(evaluation),
        group_(evaluation.config.evaluation),
        communicator_(communicator),
        backend_(make_backend(evaluation.config.training.device)),
        tokenizer_(evaluation.models.back().directory + "/tokenizer.model") {
    install_stop_signals();
    int64_t context = e_.config.data.max_length;
    for (const NamedModel& model : e_.models) {
      context = std::min(context, read_model_config(model.directory).max_position_embeddings);
    }
    settings_ = {.sampling = group_,
                 .max_context = context,
                 .seed = e_.config.training.seed,
                 .precision = e_.config.training.precision};
    const ModelConfig latest = read_model_config(e_.models.back().directory);
    prompts_ = read_numbered_prompts(
        group_.prompts, prompt_options(e_.config.data), tokenizer_, [&](const Prompt& prompt) {
          validate({.prompt = prompt.ids, .settings = {.temperature = 0}}, latest, context,
                   prompt.where);
        });
  }

  int run() {
    if (communicator_.is_root()) keep_stage_settings(e_.directory, e_.resolved_config);
    if (const int signal = answer()) return signal;
    communicator_.barrier();  // the root has written what all read

    const NewPairs helpful = read_new_pairs(e_.collection, "helpful");
    const NewPairs safety = read_new_pairs(e_.collection, "safety");
    figures_ = {{"new_pairs", ordered_json::object()}};
    ordered_json& new_pairs = figures_["new_pairs"];
    const bool has_before =
        !e_.rewards_before.helpfulness.empty() || !e_.rewards_before.safety.empty();
    if (has_before) {
      RewardScores before = scores(e_.rewards_before);
      add_pairs(new_pairs, helpful, safety, before, "_before");
    }
    RewardScores now = scores(e_.rewards);
    add_pairs(new_pairs, helpful, safety, now, "");
    add_samples();
    add_held_out(now);
    if (communicator_.is_root()) {
      write_file_atomically(e_.directory + "/figures.json", figures_.dump(2) + "\n");
    }
    return agreed_stop_signal(communicator_);
  }

 private:
  RewardScores scores(const RewardDirectories& directories) {
    return {directories, group_.reward_precision, *backend_, tokenizer_, communicator_};
  }

  // One file for each model, with the same random numbers for all.
  int answer() {
    for (size_t m = 0; m < e_.models.size(); ++m) {
      AnswerJob job{.model = e_.models[m].directory, .requests = {}};
      for (const Prompt& prompt : prompts_.prompts) {
        job.requests.push_back({.prompt = &prompt,
                                .key = sample_key(0, prompt.number, kEvaluationAnswer),
                                .temperature = group_.temperature});
      }
      const HeldOutAnswers& file = e_.all_answers[e_.all_answers.size() - e_.models.size() + m];
      const int signal = sample_answers(file.path, std::span(&job, 1), settings_, tokenizer_,
                                        communicator_, *backend_);
      if (signal != 0) return signal;
    }
    return 0;
  }

  void add_pairs(ordered_json& figures, const NewPairs& helpful, const NewPairs& safety,
                 RewardScores& rewards, const std::string& suffix) const {
    const auto add = [&](const char* category, const NewPairs& pairs, float AnswerScore::*reward) {
      const std::vector<AnswerScore> scored = rewards.of(pairs.answers);
      Mean mean, accuracy;
      for (const AnswerScore& score : scored) mean.add(double{score.*reward});
      for (size_t pair = pairs.learnt; pair < pairs.count(); ++pair) {
        accuracy.add(scored[2 * pair].*reward > scored[2 * pair + 1].*reward ? 1 : 0);
      }
      ordered_json& entry = figures[category];
      entry["pairs"] = pairs.count();
      entry["held_out"] = accuracy.count();
      entry["mean_reward" + suffix] = mean.value();
      entry["accuracy" + suffix] = accuracy.value();
    };
    if (!e_.rewards.helpfulness.empty()) add("helpful", helpful, &AnswerScore::helpfulness);
    if (!e_.rewards.safety.empty()) add("safety", safety, &AnswerScore::safety);
  }

  void add_samples() {
    Mean combined, helpfulness, safety, selected;
    for_each_sample(e_.rejection + "/pool.jsonl", [&](PooledSample&& sample, const std::string&) {
      combined.add(double{sample.score.combined});
      if (!sample.is_safety) helpfulness.add(double{sample.score.helpfulness});
      if (sample.is_safety) safety.add(double{sample.score.safety});
    });
    JsonLines lines(e_.rejection + "/selected.jsonl");
    for (nlohmann::json line; lines.next(line);) selected.add(line.at("score"));
    figures_["samples"] = {{"samples", combined.count()},
                           {"reward", combined.value()},
                           {"helpfulness", of_model(helpfulness, e_.rewards.helpfulness)},
                           {"safety", of_model(safety, e_.rewards.safety)},
                           {"selected", selected.count()},
                           {"reward_of_selected", selected.value()}};
  }

  void add_held_out(RewardScores& rewards) {
    for (const HeldOutAnswers& file : e_.all_answers) {
      const std::vector<SampledAnswer> answers = read_sampled_answers(file.path);
      if (answers.size() != prompts_.prompts.size()) {
        throw input_error(file.path, fmt::format("{} answers to {} prompts", answers.size(),
                                                 prompts_.prompts.size()));
      }
      std::vector<Answer> asked;
      Mean combined, helpfulness, safety, finished;
      for (size_t i = 0; i < answers.size(); ++i) {
        const Prompt& prompt = prompts_.prompts[i];
        asked.push_back({.sequence = {.ids = prompt.ids}, .is_safety_prompt = prompt.is_safety});
        std::vector<int32_t>& ids = asked.back().sequence.ids;
        ids.insert(ids.end(), answers[i].ids.begin(), answers[i].ids.end());
        finished.add(answers[i].finished_by_eos ? 1 : 0);
      }
      const std::vector<AnswerScore> scored = rewards.of(asked);
      for (size_t i = 0; i < scored.size(); ++i) {
        combined.add(double{scored[i].combined});
        if (!asked[i].is_safety_prompt) helpfulness.add(double{scored[i].helpfulness});
        if (asked[i].is_safety_prompt) safety.add(double{scored[i].safety});
      }
      figures_["held_out"][file.name] = {
          {"answers", combined.count()},
          {"reward", combined.value()},
          {"helpfulness", of_model(helpfulness, e_.rewards.helpfulness)},
          {"safety", of_model(safety, e_.rewards.safety)},
          {"finished_by_eos", finished.value()}};
    }
  }

  static ordered_json of_model(const Mean& mean, const std::string& directory) {
    return directory.empty() ? ordered_json() : mean.value();
  }

  const IterationEvaluation& e_;
  const decltype(EvaluationConfig::evaluation)& group_;
  Communicator& communicator_;
  std::unique_ptr<Backend> backend_;
  Tokenizer tokenizer_;
  AnswerSettings settings_;
  NumberedPrompts prompts_;
  ordered_json figures_;
};

}  // namespace

int evaluate_iteration(const IterationEvaluation& evaluation, Communicator& communicator) {
  return Evaluation(evaluation, communicator).run();
}

}  // namespace cria
