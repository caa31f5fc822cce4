#include "trainers/rlhf/preference_collection.h"

#include <algorithm>
#include <filesystem>
#include <limits>

#include <spdlog/spdlog.h>

#include "cria/io/atomic_directory.h"
#include "cria/io/file.h"
#include "cria/io/hugging_face.h"

#include "trainers/pretrained_model.h"
#include "trainers/rejection/answer_sampler.h"
#include "trainers/rlhf/answer_file.h"
#include "trainers/rlhf/pair_plan.h"
#include "trainers/rlhf/ratings.h"
#include "trainers/run_settings.h"
#include "trainers/signals.h"

namespace cria {

namespace {

using nlohmann::ordered_json;

// Sample numbers of the two answers of a pair: beyond those that rejection sampling draws from the
// same model for the same prompt and iteration.
constexpr int64_t kFirstAnswer = (1 << 20) - 2;

// A pair whose answers differ.
struct AnsweredPair {
  const PlannedPair* planned = nullptr;
  const Prompt* prompt = nullptr;
  std::array<SampledAnswer, 2> answers;

  std::string category() const { return prompt->is_safety ? "safety" : "helpful"; }
};

class Collection {
 public:
  Collection(const PreferenceCollection& collection, Communicator& communicator)
      : c_(collection),
        p_(collection.config.preferences),
        communicator_(communicator),
        backend_(make_backend(collection.config.training.device)),
        tokenizer_(collection.models.front().directory + "/tokenizer.model") {
    install_stop_signals();
    int64_t context = c_.config.data.max_length;
    std::vector<ModelConfig> configs;
    for (const NamedModel& model : c_.models) {
      configs.push_back(read_model_config(model.directory));
      require_tokenizer(model.directory, configs.back(), tokenizer_, "preferences.models");
      context = std::min(context, configs.back().max_position_embeddings);
    }
    settings_ = {.sampling = p_,
                 .max_context = context,
                 .seed = c_.config.training.seed,
                 .precision = c_.config.training.precision};
    prompts_ = read_numbered_prompts(
        p_.prompts, prompt_options(c_.config.data), tokenizer_, [&](const Prompt& prompt) {
          for (const ModelConfig& config : configs) {
            validate({.prompt = prompt.ids, .settings = {.temperature = 0}}, config, context,
                     prompt.where);
          }
        });
    pairs_ = plan_pairs(c_.config, c_.iteration, c_.first_pair, prompts_.prompts.size(),
                        c_.models.size());
  }

  int run() {
    if (communicator_.is_root()) keep_stage_settings(c_.directory, c_.resolved_config);
    if (const int signal = sample()) return signal;
    return from_root(communicator_, communicator_.is_root() ? rate() : 0);
  }

 private:
  std::string file(const std::string& name) const { return c_.directory + "/" + name; }

  int sample() {
    std::vector<AnswerJob> jobs;
    for (const NamedModel& model : c_.models) {
      jobs.push_back({.model = model.directory, .requests = {}});
    }
    places_.assign(pairs_.size(), {});
    for (size_t i = 0; i < pairs_.size(); ++i) {
      const Prompt& prompt = prompts_.prompts[pairs_[i].prompt];
      for (size_t a = 0; a < 2; ++a) {
        const PlannedAnswer& answer = pairs_[i].answers[a];
        std::vector<AnswerRequest>& requests = jobs[answer.model].requests;
        places_[i][a] = requests.size();
        requests.push_back(
            {.prompt = &prompt,
             .key = sample_key(c_.iteration, prompt.number, kFirstAnswer + static_cast<int64_t>(a)),
             .temperature = answer.temperature});
      }
    }
    size_t before = 0;  // answers of the models before
    std::vector<size_t> first_of_model;
    for (const AnswerJob& job : jobs) {
      first_of_model.push_back(before);
      before += job.requests.size();
    }
    for (size_t i = 0; i < pairs_.size(); ++i) {
      for (size_t a = 0; a < 2; ++a) places_[i][a] += first_of_model[pairs_[i].answers[a].model];
    }
    return sample_answers(file("answers.jsonl"), jobs, settings_, tokenizer_, communicator_,
                          *backend_);
  }

  std::vector<AnsweredPair> answered() const {
    std::vector<SampledAnswer> answers = read_sampled_answers(file("answers.jsonl"));
    std::vector<AnsweredPair> pairs;
    for (size_t i = 0; i < pairs_.size(); ++i) {
      AnsweredPair pair{.planned = &pairs_[i], .prompt = &prompts_.prompts[pairs_[i].prompt]};
      for (size_t a = 0; a < 2; ++a) pair.answers[a] = std::move(answers.at(places_[i][a]));
      if (pair.answers[0].completion != pair.answers[1].completion) {
        pairs.push_back(std::move(pair));
      }
    }
    return pairs;
  }

  // The root. Returns the signal that ended it, or 0.
  int rate() {
    const std::vector<AnsweredPair> pairs = answered();
    std::string lines;
    std::vector<int64_t> numbers;
    for (const AnsweredPair& pair : pairs) {
      numbers.push_back(pair.planned->number);
      lines += ordered_json{{"pair", pair.planned->number},
                            {"prompt", pair.prompt->given},
                            {"category", pair.category()},
                            {"first", pair.answers[0].completion},
                            {"second", pair.answers[1].completion}}
                   .dump() +
               "\n";
    }
    write_file_atomically(file("pairs.jsonl"), lines);
    spdlog::info("{} of {} pairs have two different answers", pairs.size(), pairs_.size());

    const std::string path = file("ratings.jsonl");
    if (!std::filesystem::exists(path)) {
      if (p_.rating_command.empty()) {
        throw input_error(
            path, fmt::format("waits for ratings of the {} pairs in pairs.jsonl", pairs.size()),
            "write a line {\"pair\": N, \"better\": \"first\"|\"second\", \"rating\": "
            "\"significantly_better\"|\"better\"|\"slightly_better\"|\"negligibly_better\"} for "
            "each, in their order, and run the same command again");
      }
      spdlog::info("rated by {}", p_.rating_command);
      const std::string given = rate_by_command(p_.rating_command, lines);
      if (stop_signal() != 0) return stop_signal();
      parse_ratings(given, numbers, "output of preferences.rating_command",
                    "the command must write one for each line that it reads");
      write_file_atomically(path, given);
    }
    split(pairs, parse_ratings(read_file(path), numbers, path,
                               "complete it, and run the same command again"));
    return 0;
  }

  void split(const std::vector<AnsweredPair>& pairs, const std::vector<PairRating>& ratings) const {
    std::string learnt[2], held_out[2];  // by whether the prompt is one of safety
    for (size_t i = 0; i < pairs.size(); ++i) {
      auto& texts = pairs[i].planned->held_out ? held_out : learnt;
      texts[pairs[i].prompt->is_safety ? 1 : 0] += training_line(pairs[i], ratings[i]);
    }
    for (const size_t safety : {0, 1}) {
      const std::string category = safety ? "safety" : "helpful";
      write_file_atomically(file(category + ".jsonl"), learnt[safety]);
      write_file_atomically(file("held_out_" + category + ".jsonl"), held_out[safety]);
    }
  }

  // Texts for people; what is learnt are the ids that were sampled.
  std::string training_line(const AnsweredPair& pair, const PairRating& rating) const {
    ordered_json line = {{"prompt", pair.prompt->given}};
    const size_t better = rating.first_is_better ? 0 : 1;
    const std::optional<bool> safe[] = {rating.first_safe, rating.second_safe};
    for (const auto& [name, a] : {std::pair{"chosen", better}, {"rejected", 1 - better}}) {
      const std::string field = name;
      const SampledAnswer& answer = pair.answers[a];
      std::vector<int32_t> ids = pair.prompt->ids;
      std::vector<int32_t> labels(ids.size(), kNoLabel);
      ids.insert(ids.end(), answer.ids.begin(), answer.ids.end());
      labels.insert(labels.end(), answer.ids.begin(), answer.ids.end());
      line[field] = answer.completion;
      line[field + "_input_ids"] = ids;
      line[field + "_labels"] = labels;
      line[field + "_model"] = c_.models[pair.planned->answers[a].model].name;
      line[field + "_temperature"] = answer.temperature;
      if (safe[a]) line[field + "_safe"] = *safe[a];
    }
    line["rating"] = kRatingNames[static_cast<size_t>(rating.rating)];
    line["category"] = pair.category();
    line["source"] = c_.name;
    line["pair"] = pair.planned->number;
    return line.dump() + "\n";
  }

  const PreferenceCollection& c_;
  const decltype(PreferencesConfig::preferences)& p_;
  Communicator& communicator_;
  std::unique_ptr<Backend> backend_;
  Tokenizer tokenizer_;
  AnswerSettings settings_;
  NumberedPrompts prompts_;
  std::vector<PlannedPair> pairs_;
  std::vector<std::array<size_t, 2>> places_;  // of the answers in answers.jsonl
};

}  // namespace

std::vector<std::string> collection_files(const std::string& directory) {
  std::vector<std::string> files;
  for (const char* name : {"answers.jsonl", "pairs.jsonl", "ratings.jsonl", "helpful.jsonl",
                           "safety.jsonl", "held_out_helpful.jsonl", "held_out_safety.jsonl"}) {
    files.push_back(directory + "/" + name);
  }
  return files;
}

int collect_preferences(const PreferenceCollection& collection, Communicator& communicator) {
  return Collection(collection, communicator).run();
}

void keep_stage_settings(const std::string& directory, const std::string& resolved_config) {
  const std::string path = directory + "/config.yaml";
  if (std::filesystem::exists(path)) {
    check_same_settings(directory, read_file(path), resolved_config);
  }
  write_file_atomically(path, resolved_config);
}

}  // namespace cria
