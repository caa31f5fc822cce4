#include "trainers/distill.h"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <memory>

#include <spdlog/spdlog.h>

#include "cria/io/atomic_directory.h"
#include "cria/io/checksum.h"
#include "cria/io/directory_lock.h"
#include "cria/io/hugging_face.h"

#include "trainers/distill/distill_report.h"
#include "trainers/distill/distill_sampler.h"
#include "trainers/plot_file.h"
#include "trainers/pretrained_model.h"
#include "trainers/rejection/answer_sampler.h"
#include "trainers/sample_files.h"
#include "trainers/sft.h"
#include "trainers/signals.h"
#include "trainers/trainer_setup.h"

namespace cria {

namespace {

class DistillRun {
 public:
  DistillRun(const DistillConfig& config, const std::string& resolved_config, DistillStep step)
      : config_(config),
        resolved_config_(resolved_config),
        step_(step),
        setup_(config),
        communicator_(setup_.communicator()),
        tokenizer_(setup_.tokenizer()),
        preprompts_(config, tokenizer_) {
    validate(config);
  }

  int run() {
    if (!(wants(DistillStep::train) && has_begun_training())) {
      install_stop_signals();
      if (const int signal = prepare()) {
        say(fmt::format("stopped by signal {}: whole prompts are kept, the same command goes on",
                        signal));
        return 128 + signal;
      }
      lock_.reset();  // the training takes it
      communicator_.barrier();
    }
    if (!wants(DistillStep::train)) return 0;
    return fine_tune(setup_, config_, examples_, resolved_config_);
  }

 private:
  bool wants(DistillStep step) const { return step_ == step || step_ == DistillStep::all; }
  void say(const std::string& line) const {
    if (communicator_.is_root()) spdlog::info("{}", line);
  }

  // A checkpoint goes on with the examples that it has learnt from.
  bool has_begun_training() {
    return from_root(communicator_, latest_checkpoint(config_.training.output_dir).has_value() &&
                                        std::filesystem::exists(examples_));
  }

  // Every step but the training. Returns the signal that ended one.
  int prepare() {
    sampler_config_ = read_model_config(config_.sampler_path());
    require_tokenizer(config_.sampler_path(), sampler_config_, tokenizer_, "distill.sampler");
    RewardModels rewards({.helpfulness = {},
                          .safety = config_.distill.safety,
                          .precision = config_.distill.reward_precision,
                          .batch_tokens = config_.distill.batch_tokens,
                          .group = "distill"},
                         setup_.backend(), tokenizer_);
    read_prompts(rewards.max_length());
    begin(rewards.checksum());
    const StandingPrompts standing = standing_part();
    if (standing.prompts < static_cast<int64_t>(prompts_.size())) {
      if (!wants(DistillStep::sample)) {
        throw input_error("--step", pool_ + " is not complete", "run --step sample");
      }
      if (const int signal = sample(rewards, standing)) return signal;
    }
    if (wants(DistillStep::examples) && communicator_.is_root()) write_examples();
    if (step_ == DistillStep::train &&
        !from_root(communicator_, std::filesystem::exists(examples_))) {
      throw input_error("--step", examples_ + " is not there yet", "run --step examples");
    }
    return 0;
  }

  // What is sampled can be scored and trained on.
  void read_prompts(int64_t longest_scored) {
    const auto& d = config_.distill;
    max_context_ = std::min(
        {sampler_config_.max_position_embeddings, longest_scored, config_.data.max_length});
    PromptOptions form = prompt_options(config_.data);
    form.label_field = d.risk_field;
    int64_t longest = 0;
    NumberedPrompts read =
        read_numbered_prompts(d.prompts, form, tokenizer_, [&](const Prompt& prompt) {
          if (!prompt.is_chat) {
            throw input_error(prompt.where, "no dialogue that a pre-prompt could stand in",
                              "give 'prompt' or 'messages'");
          }
          if (!is_asked(prompt)) return;
          for (const Preprompted& one : preprompts_.all(prompt)) {
            cria::validate({.prompt = one.ids, .settings = d.settings(d.temperature, 0)},
                           sampler_config_, max_context_, prompt.where);
            longest = std::max(longest, static_cast<int64_t>(one.ids.size()));
          }
        });
    if (read.skipped > 0) {
      say(fmt::format("{} bad prompts left out, the first: {}", read.skipped, read.first_skipped));
    }
    for (Prompt& prompt : read.prompts) {
      if (is_asked(prompt)) prompts_.push_back(std::move(prompt));
    }
    if (prompts_.empty()) {
      throw input_error("distill.prompts", "no prompt is of category safety",
                        "set distill.category to all for others");
    }
    if (d.generic.empty() &&
        std::none_of(prompts_.begin(), prompts_.end(),
                     [&](const Prompt& prompt) { return d.templates.contains(prompt.label); })) {
      throw input_error("distill.templates",
                        fmt::format("no prompt's '{}' is one of theirs", d.risk_field),
                        "name the field that tells the risk with distill.risk_field");
    }
    context_ = context_needed(longest, d.max_new_tokens, max_context_);
  }

  bool is_asked(const Prompt& prompt) const {
    return prompt.is_safety || config_.distill.category == "all";
  }

  // The directory, and in it the settings that all samples depend on.
  void begin(const std::string& reward_checksum) {
    const std::string sampler_checksum = model_checksum(config_.sampler_path());
    if (communicator_.is_root()) {
      std::filesystem::create_directories(config_.training.output_dir);
      lock_ = std::make_unique<DirectoryLock>("training.output_dir", config_.training.output_dir);
      keep_sampling_settings(
          sampling_settings(config_, sampler_checksum, reward_checksum, tokenizer_.model_bytes()),
          config_.file("sampling.json"), pool_);
      write_file_atomically(config_.file("config.yaml"), resolved_config_);
    }
    communicator_.barrier();
  }

  // As the root sees it, which alone writes.
  StandingPrompts standing_part() {
    StandingPrompts part;
    if (communicator_.is_root()) part = standing_prompts(pool_, prompts_);
    return from_root(communicator_, part);
  }

  int sample(RewardModels& rewards, const StandingPrompts& standing) {
    say(fmt::format("{} of {} prompts answered without and with pre-prompts", standing.prompts,
                    prompts_.size()));
    Arena arena(setup_.backend().memory());
    rewards.reserve(arena);
    DistillSampler sampler(config_, prompts_, preprompts_, context_, rewards, tokenizer_,
                           communicator_, setup_.backend());
    sampler.reserve(arena);
    say("memory of sampling\n" + arena.table());
    arena.allocate();
    rewards.load();
    sampler.load();
    return sampler.fill(pool_, standing);
  }

  // The root: what is learnt, and what people want to know of the pool.
  void write_examples() const {
    const std::vector<DistillPrompt> pool =
        read_distill_pool(pool_, config_.distill.truncated == "keep");
    std::string scores, examples;
    for (const DistillPrompt& prompt : pool) {
      scores += scores_line(prompt);
      if (const DistillAnswer* answer = prompt.learnt()) examples += training_line(prompt, *answer);
    }
    const std::vector<DistillFigures> figures = distill_figures(pool);
    write_file_atomically(config_.file("before_after.jsonl"), scores);
    write_file_atomically(config_.file("summary.json"), to_json(figures).dump(2) + "\n");
    write_plot_if_possible(config_.file("before_after.svg"), before_after_plot(pool));
    say("safety scores before and after\n" + table(figures));
    if (examples.empty()) {
      throw failure("distill", "no answer scores above the one without a pre-prompt",
                    "there is nothing to learn: try other pre-prompts or more num_samples");
    }
    write_file_atomically(examples_, examples);
  }

  const DistillConfig& config_;
  const std::string& resolved_config_;
  const DistillStep step_;
  TrainerSetup setup_;
  Communicator& communicator_;
  const Tokenizer& tokenizer_;
  const Preprompts preprompts_;
  ModelConfig sampler_config_;
  std::vector<Prompt> prompts_;  // those that are asked
  int64_t max_context_ = 0;      // of sampler, reward model and training
  int64_t context_ = 0;          // that these prompts and their answers need
  const std::string pool_ = config_.file("pool.jsonl");
  const std::string examples_ = config_.file("distilled.jsonl");
  std::unique_ptr<DirectoryLock> lock_;  // of the root
};

}  // namespace

DistillStep parse_distill_step(const std::string& name) {
  constexpr std::string_view kNames[] = {"all", "sample", "examples", "train"};
  const auto found = std::find(std::begin(kNames), std::end(kNames), name);
  if (found == std::end(kNames)) {
    throw input_error("--step", fmt::format("'{}' is no step", name),
                      fmt::format("{}", fmt::join(kNames, ", ")));
  }
  return static_cast<DistillStep>(found - std::begin(kNames));
}

int distill(const DistillConfig& config, const std::string& resolved_config, DistillStep step) {
  return DistillRun(config, resolved_config, step).run();
}

}  // namespace cria
