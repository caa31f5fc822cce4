#include "trainers/rejection.h"

#include <algorithm>
#include <filesystem>
#include <limits>

#include <spdlog/spdlog.h>

#include "cria/io/append_file.h"
#include "cria/io/atomic_directory.h"
#include "cria/io/checksum.h"
#include "cria/io/directory_lock.h"
#include "cria/io/hugging_face.h"

#include "trainers/plot_file.h"
#include "trainers/pretrained_model.h"
#include "trainers/rejection/answer_sampler.h"
#include "trainers/rejection/best_of_n.h"
#include "trainers/rejection/readable_samples.h"
#include "trainers/rejection/rescoring.h"
#include "trainers/rejection/sampling_settings.h"
#include "trainers/rejection/selection.h"
#include "trainers/sample_files.h"
#include "trainers/sft.h"
#include "trainers/signals.h"
#include "trainers/trainer_setup.h"

namespace cria {

namespace {

class RejectionRun {
 public:
  RejectionRun(const RejectionConfig& config, const std::string& resolved_config)
      : config_(config),
        resolved_config_(resolved_config),
        setup_(config),
        communicator_(setup_.communicator()) {
    validate(config);
  }

  int run() {
    if (!has_begun_training()) {
      install_stop_signals();
      if (const int signal = collect()) return 128 + signal;
      if (is_root()) choose();
      lock_.reset();  // the training takes it
      communicator_.barrier();
    }
    return fine_tune(setup_, config_, selected_, resolved_config_);
  }

 private:
  bool is_root() const { return communicator_.is_root(); }
  void say(const std::string& line) const {
    if (is_root()) spdlog::info("{}", line);
  }

  static void cut(const std::string& path, const StandingPart& standing) {
    if (std::filesystem::exists(path)) AppendFile(path, standing.bytes);
  }

  // A checkpoint goes on with the answers that it has learnt from.
  bool has_begun_training() {
    return from_root(communicator_, latest_checkpoint(config_.training.output_dir).has_value() &&
                                        std::filesystem::exists(selected_));
  }

  // Completes the pool and the rescored samples of older ones. Returns the signal that ended it.
  int collect() {
    const auto& r = config_.rejection;
    Backend& backend = setup_.backend();
    const Tokenizer& tokenizer = setup_.tokenizer();
    const ModelConfig generator = read_model_config(config_.generator_path());
    require_tokenizer(config_.generator_path(), generator, tokenizer, "rejection.generator");
    RewardModels rewards(r.reward_models("rejection"), backend, tokenizer);
    // What is sampled can be scored and trained on.
    const int64_t max_context = std::min(
        {generator.max_position_embeddings, rewards.max_length(), config_.data.max_length});
    const NumberedPrompts prompts =
        read_numbered_prompts(config_, generator, max_context, tokenizer);
    if (prompts.skipped > 0) {
      say(fmt::format("{} bad prompts left out, the first: {}", prompts.skipped,
                      prompts.first_skipped));
    }

    const std::string generator_checksum = model_checksum(config_.generator_path());
    reward_checksum_ = rewards.checksum();
    StandingPart sampled, rescored;
    if (is_root()) {
      std::filesystem::create_directories(config_.training.output_dir);
      lock_ = std::make_unique<DirectoryLock>("training.output_dir", config_.training.output_dir);
      keep_sampling_settings(
          sampling_settings(config_, generator_checksum, reward_checksum_, tokenizer.model_bytes()),
          config_.file("sampling.json"), pool_);
      write_file_atomically(config_.file("config.yaml"), resolved_config_);
      sampled = standing_part(
          pool_, config_.samples_per_prompt(), [&](const PooledSample& sample, int64_t number) {
            const auto prompt = static_cast<size_t>(number / config_.samples_per_prompt());
            return prompt < prompts.prompts.size() &&
                   sample.prompt_number == int64_t{prompts.prompts[prompt].number} &&
                   sample.sample == number % config_.samples_per_prompt();
          });
      rescored = standing_rescored(rescored_, r.pools, reward_checksum_);
      cut(pool_, sampled);
      cut(rescored_, rescored);
    }
    sampled = from_root(communicator_, sampled);
    rescored = from_root(communicator_, rescored);
    const int64_t stale = count_stale(r.pools, reward_checksum_);
    const int64_t wanted =
        static_cast<int64_t>(prompts.prompts.size()) * config_.samples_per_prompt();
    say(fmt::format("{} prompts, {} samples each, {} of {} samples done", prompts.prompts.size(),
                    config_.samples_per_prompt(), sampled.samples, wanted));
    if (stale > 0) {
      say(fmt::format("{} of {} samples of older pools with scores of other models scored again",
                      rescored.samples, stale));
    }
    if (sampled.samples == wanted && rescored.samples == stale) return 0;

    Arena arena(backend.memory());
    rewards.reserve(arena);
    AnswerSampler sampler(config_, prompts, max_context, generator_checksum, rewards, tokenizer,
                          communicator_, backend);
    sampler.reserve(arena);
    say("memory of sampling\n" + arena.table());
    arena.allocate();
    rewards.load();
    sampler.load();
    int signal = sampler.fill(pool_, sampled);
    if (signal == 0 && stale > 0) {
      signal = rescore(r.pools, rescored_, rescored, stale, rewards, tokenizer, communicator_);
    }
    if (signal != 0) {
      say(fmt::format("stopped by signal {}: whole prompts are kept, the same command goes on",
                      signal));
    }
    return signal;
  }

  // The root: selected.jsonl, and what people want to know of the pool.
  void choose() {
    const auto& r = config_.rejection;
    Selection selection({.top = r.select_top, .keep_truncated = r.truncated == "keep"});
    BestOfN best_of_n(r.temperatures, r.num_samples);
    ReadableSamples readable;
    const auto candidate = [&](PooledSample&& sample, const std::string& where) {
      if (sample.reward_model != reward_checksum_) {
        throw failure(where, "the score is of another reward model");
      }
      selection.add(std::move(sample));
    };
    for_each_sample(pool_, [&](PooledSample&& sample, const std::string& where) {
      best_of_n.add(sample);
      readable.add(sample);
      candidate(std::move(sample), where);
    });
    for (const std::string& pool : r.pools) {
      for_each_sample(pool, [&](PooledSample&& sample, const std::string& where) {
        if (sample.reward_model == reward_checksum_) candidate(std::move(sample), where);
      });
    }
    if (std::filesystem::exists(rescored_)) for_each_sample(rescored_, candidate);

    write_file_atomically(selected_, selection.lines());
    write_file_atomically(config_.file("samples.txt"), readable.text());
    write_file_atomically(config_.file("best_of_n.json"), best_of_n.to_json().dump(2) + "\n");
    write_plot_if_possible(config_.file("best_of_n.svg"), best_of_n.plot());
    for (size_t t = 0; t < r.temperatures.size(); ++t) {
      say(
          fmt::format("temperature {}: mean reward {:.4f}, expected best of {} {:.4f}, {:.1f}% "
                      "finished by eos",
                      r.temperatures[t], best_of_n.mean_reward(t), r.num_samples,
                      best_of_n.expected_maximum(t).back(), 100 * best_of_n.share_finished(t)));
    }
    report(selection.counts());
  }

  void report(const SelectionCounts& counts) const {
    say(fmt::format("{} answers to {} prompts selected of {} candidates, mean reward {:.4f}",
                    counts.selected, counts.prompts, counts.candidates, counts.mean_score));
    say(fmt::format("{} candidates were cut off before their eos and {}", counts.truncated,
                    config_.rejection.truncated == "keep" ? "could be selected" : "not selected"));
    if (counts.without_answer > 0) {
      say(fmt::format("{} prompts have no answer to train on", counts.without_answer));
    }
    if (counts.selected == 0) {
      throw failure("rejection.truncated", "no answer was finished by its eos: none to train on",
                    "raise rejection.max_new_tokens, or set rejection.truncated to keep");
    }
  }

  const RejectionConfig& config_;
  const std::string& resolved_config_;
  TrainerSetup setup_;
  Communicator& communicator_;
  const std::string pool_ = config_.file("pool.jsonl");
  const std::string rescored_ = config_.file("rescored.jsonl");
  const std::string selected_ = config_.file("selected.jsonl");
  std::string reward_checksum_;
  std::unique_ptr<DirectoryLock> lock_;  // of the root
};

}  // namespace

int rejection(const RejectionConfig& config, const std::string& resolved_config) {
  return RejectionRun(config, resolved_config).run();
}

}  // namespace cria
