#include "trainers/ppo/ppo_loop.h"

#include <chrono>
#include <filesystem>
#include <numeric>

#include "cria/core/random.h"
#include "cria/io/atomic_directory.h"

#include "trainers/ppo/credit.h"
#include "trainers/ppo/kl.h"
#include "trainers/ppo/ppo_figures.h"
#include "trainers/ppo/ppo_passes.h"

namespace cria {

namespace {

using Clock = std::chrono::steady_clock;

// Keys of the random numbers of held-out answers: the same in each evaluation, and none of
// training's, which count from 0.
constexpr uint64_t kHeldOutExamples = uint64_t{1} << 63;

// Keys of the orders of mini-batches, beyond those of the orders of the data's sources.
constexpr uint64_t kMiniBatchOrders = uint64_t{1} << 63;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

class PpoLoop {
 public:
  explicit PpoLoop(PpoRun run)
      : run_(std::move(run)),
        config_(run_.config),
        total_steps_(total_steps(config_, run_.prompts.stream())),
        schedule_(schedule(config_, total_steps_)),
        passes_(run_.models, run_.communicator, run_.reduction, config_),
        directory_(config_, run_.resolved_config, run_.tokenizer, run_.communicator,
                   run_.models.policy().backend()),
        kl_coef_(config_.ppo.kl_coef, config_.ppo.target_kl, config_.ppo.kl_horizon) {}

  int run() {
    resume();
    const int64_t last_step =
        std::min(total_steps_, config_.training.stop_at_step.value_or(total_steps_));
    directory_.say(fmt::format("{} iterations, {} done", total_steps_, step_));
    directory_.start(step_, last_step);
    logged_at_ = Clock::now();
    if (step_ > 0 && evaluate()) save();  // an evaluation that a signal cut short
    int signal = directory_.agreed_stop_signal();
    while (step_ < last_step && signal == 0 && !stopped_early_) {
      if (iterate()) evaluate();
      signal = directory_.agreed_stop_signal();
      const bool ends = step_ == last_step || signal != 0 || stopped_early_;
      if (step_ > saved_step_ && (is_due(config_.checkpoint.save_steps) || ends)) save();
    }
    directory_.close();
    if (step_ == total_steps_ || stopped_early_) {
      finish();
    } else if (signal != 0) {
      directory_.say(fmt::format("stopped by signal {} after step {}{}", signal, step_,
                                 step_ > 0 ? ", saved" : ": nothing to save"));
      return 128 + signal;
    }
    return 0;
  }

 private:
  bool is_due(int64_t every) const { return every > 0 && step_ % every == 0; }

  void resume() {
    std::string checksum;  // of the root, which alone reads the files for it
    if (directory_.is_root()) checksum = run_.models.read_only_checksum();
    const std::optional<SavedRun> saved = directory_.resume();
    if (!saved) {
      run_.models.load_start();
      read_only_checksum_ = checksum;
      return;
    }
    const nlohmann::json& state = saved->state;
    read_only_checksum_ = state.at("read_only_checksum").get<std::string>();
    if (directory_.is_root() && checksum != read_only_checksum_) {
      throw input_error(saved->checkpoint,
                        "the reference or a reward model is not the one that the run began with",
                        "put it back, or choose another training.output_dir for a new run");
    }
    load_checkpoint(saved->checkpoint, run_.models.checkpoint_models(),
                    run_.models.policy().backend());
    run_.models.loaded();
    step_ = saved_step_ = state.at("step").get<int64_t>();
    tokens_seen_ = state.at("num_tokens").get<int64_t>();
    run_.prompts.stream().seek(state.at("data_cursor").get<std::vector<int64_t>>());
    kl_coef_.restore(state.at("kl_coef").get<double>());
    negative_kl_.restore(state.at("negative_kl_iterations").get<int64_t>());
    evaluated_step_ = state.at("evaluated_step").get<int64_t>();
    evaluations_without_gain_ = state.at("evaluations_without_gain").get<int64_t>();
    stopped_early_ = state.at("stopped_early").get<bool>();
    if (!state.at("best_reward").is_null()) best_reward_ = state["best_reward"].get<double>();
  }

  void save() {
    directory_.save(step_, run_.models.checkpoint_models(),
                    {{"step", step_},
                     {"num_tokens", tokens_seen_},
                     {"data_cursor", run_.prompts.stream().cursor()},
                     {"kl_coef", kl_coef_.value()},
                     {"negative_kl_iterations", negative_kl_.run()},
                     {"evaluated_step", evaluated_step_},
                     {"evaluations_without_gain", evaluations_without_gain_},
                     {"stopped_early", stopped_early_},
                     {"best_reward", best_reward_ ? nlohmann::json(*best_reward_) : nullptr},
                     {"read_only_checksum", read_only_checksum_}});
    saved_step_ = step_;
    directory_.say(fmt::format("step {}/{}  saved {}/checkpoint-{}", step_, total_steps_,
                               directory_.path(), step_));
  }

  SamplingSettings sampling() const {
    return {.temperature = static_cast<float>(config_.ppo.temperature),
            .max_new_tokens = config_.ppo.response_length,
            .stop_ids = {run_.models.policy().config().eos_token_id}};
  }

  std::vector<Rollout> answer(const std::vector<const Prompt*>& prompts, uint64_t first_example,
                              const char* phase) {
    const Clock::time_point start = Clock::now();
    return sample_answers(run_.models.generator(), run_.communicator, prompts,
                          {.sampling = sampling(), .first_example = first_example},
                          [&](int64_t answers, int64_t of, int64_t tokens) {
                            if (!directory_.has_bar()) return;
                            const double rate = static_cast<double>(tokens) / seconds_since(start);
                            directory_.show(step_, fmt::format("{} {}/{}  {:.0f} tokens/s", phase,
                                                               answers, of, rate));
                          });
  }

  void show_phase(const char* phase, int64_t done, int64_t of) {
    if (directory_.has_bar()) directory_.show(step_, fmt::format("{} {}/{}", phase, done, of));
  }

  // False when a signal ended it before the first update: then nothing has happened.
  bool iterate() {
    const std::vector<int64_t> cursor = run_.prompts.stream().cursor();
    try {
      if (iterate_from_here()) return true;
    } catch (const Error& error) {
      if (error.kind() != Error::Kind::failure) throw;
      throw failure(
          fmt::format("step {}, prompts at data cursor [{}]", step_ + 1, fmt::join(cursor, ", ")),
          error.what(), "the last checkpoint is intact");
    }
    run_.prompts.stream().seek(cursor);
    return false;
  }

  bool iterate_from_here() {
    const int64_t size = config_.training.train_batch_size;
    Clock::time_point phase = Clock::now();
    std::vector<Rollout> rollouts =
        answer(run_.prompts.next(size), static_cast<uint64_t>(step_ * size), "rollout");
    if (directory_.agreed_stop_signal() != 0) return false;
    IterationFigures figures;
    figures.rollout_seconds = seconds_since(std::exchange(phase, Clock::now()));

    show_phase("rewards", 0, size);
    score_answers(rollouts, run_.models.rewards(), run_.communicator);
    set_rewards(rollouts, config_);
    RolloutBatch batch(std::move(rollouts));
    const std::vector<MiniBatch> first_epoch = mini_batches(batch, 0);
    passes_.score_tokens(batch, first_epoch,
                         [&](int64_t done, int64_t of) { show_phase("scoring", done, of); });
    if (directory_.agreed_stop_signal() != 0) return false;
    figures.kl_coef = kl_coef_.value();
    figures.credit = assign_credit(batch, config_, kl_coef_.value());
    figures.scoring_seconds = seconds_since(std::exchange(phase, Clock::now()));

    figures.learning_rate = schedule_.learning_rate(step_ + 1);
    update(batch, first_epoch, figures);
    figures.update_seconds = seconds_since(phase);
    ++step_;
    kl_coef_.adapt(figures.credit.kl, size);
    if (negative_kl_.warns(figures.credit.k1)) {
      directory_.say(fmt::format(
          "warning: the mean KL has been negative for {} iterations, which no KL is; do samples "
          "and log-probabilities come from the same distribution?",
          negative_kl_.run()));
    }
    report(batch, figures);
    return true;
  }

  // In later epochs another order, so that other answers share a step.
  std::vector<MiniBatch> mini_batches(const RolloutBatch& batch, int64_t epoch) const {
    std::vector<size_t> order(batch.rollouts.size());
    std::iota(order.begin(), order.end(), size_t{0});
    if (epoch > 0) {
      const auto draw = static_cast<uint64_t>(step_ * config_.ppo.num_ppo_epochs + epoch);
      const Random random(config_.training.seed, Purpose::data_shuffle, kMiniBatchOrders + draw);
      for (size_t i = order.size(); i > 1; --i) {  // Fisher and Yates
        std::swap(order[i - 1], order[random.below(i, i)]);
      }
    }
    return make_mini_batches(batch, order, config_.ppo.num_mini_batches,
                             run_.models.policy().max_tokens(), run_.communicator);
  }

  void update(const RolloutBatch& batch, const std::vector<MiniBatch>& first_epoch,
              IterationFigures& figures) {
    const int64_t total = config_.ppo.num_ppo_epochs * config_.ppo.num_mini_batches;
    for (int64_t epoch = 0; epoch < config_.ppo.num_ppo_epochs; ++epoch) {
      const std::vector<MiniBatch> later =
          epoch > 0 ? mini_batches(batch, epoch) : std::vector<MiniBatch>();
      for (const MiniBatch& mini_batch : epoch > 0 ? later : first_epoch) {
        const auto done = static_cast<int64_t>(figures.updates.size());
        show_phase("update", done, total);
        figures.updates.push_back(
            passes_.update(batch, mini_batch, step_ * total + done + 1, figures.learning_rate));
      }
    }
  }

  void report(const RolloutBatch& batch, const IterationFigures& figures) {
    for (const Rollout& rollout : batch.rollouts) {
      const size_t tokens = rollout.prompt->ids.size() + rollout.answer.size();
      tokens_seen_ += static_cast<int64_t>(tokens);
      tokens_since_log_ += static_cast<int64_t>(tokens);
    }
    if (directory_.is_root() && config_.ppo.rollouts_to_write > 0) {
      const std::string folder = directory_.path() + "/rollouts";
      std::filesystem::create_directories(folder);
      write_file_atomically(fmt::format("{}/step-{}.jsonl", folder, step_),
                            rollout_lines(batch, config_.ppo.rollouts_to_write, run_.tokenizer));
    }
    const double rate = static_cast<double>(tokens_since_log_) / seconds_since(logged_at_);
    Figures named = figures_of(batch, figures, config_);
    const std::string brief = brief_line(named);
    directory_.show(step_, brief);
    if (!is_due(config_.logging.logging_steps) && step_ != 1 && step_ != total_steps_) return;
    if (!directory_.has_bar()) {
      directory_.say(
          fmt::format("step {}/{}  {}  {:.0f} tokens/s", step_, total_steps_, brief, rate));
    }
    named.emplace_back("num_tokens", static_cast<double>(tokens_seen_));
    named.emplace_back("tokens_per_second", rate);
    directory_.record(step_, named);
    logged_at_ = Clock::now();
    tokens_since_log_ = 0;
  }

  // The mean score of answers to data.eval; where it is the best so far, best/ is this policy.
  // Returns whether it was due and came to its end.
  bool evaluate() {
    if (!is_due(config_.training.eval_steps) || evaluated_step_ == step_) return false;
    std::vector<Rollout> rollouts = answer(run_.prompts.held_out(), kHeldOutExamples, "evaluation");
    if (directory_.agreed_stop_signal() != 0) return false;  // made up for by the resumed run
    score_answers(rollouts, run_.models.rewards(), run_.communicator);
    const Figures figures = evaluation_figures(rollouts);
    std::string line = fmt::format("step {}/{}", step_, total_steps_);
    for (const auto& [name, value] : figures) line += fmt::format("  {} {:.4f}", name, value);
    directory_.say(line);
    directory_.record(step_, figures);
    evaluated_step_ = step_;
    const double reward = figures.front().second;
    if (!best_reward_ || reward > *best_reward_) {
      best_reward_ = reward;
      evaluations_without_gain_ = 0;
      write_policy("best");
    } else {
      ++evaluations_without_gain_;
    }
    const std::optional<int64_t> patience = config_.ppo.early_stopping_patience;
    stopped_early_ = patience && evaluations_without_gain_ >= *patience;
    logged_at_ = Clock::now();  // the time of an evaluation is not the training's
    tokens_since_log_ = 0;
    return true;
  }

  void write_policy(const std::string& name) {
    Learner& policy = run_.models.policy();
    directory_.write_model_directory(name, policy.config(), policy.optimizer.masters(),
                                     policy.model.dtype());
  }

  void finish() {
    write_policy("final");
    if (stopped_early_) {
      directory_.say(fmt::format("stopped early: {} evaluations without a better reward than {}",
                                 evaluations_without_gain_, *best_reward_));
    }
    directory_.say(run_.prompts.stream().report());
    directory_.say(fmt::format("finished: {}/final", directory_.path()));
  }

  PpoRun run_;
  const PpoConfig& config_;
  const int64_t total_steps_;
  const Schedule schedule_;
  PpoPasses passes_;
  RunDirectory directory_;
  KlCoefficient kl_coef_;
  NegativeKlWatch negative_kl_;
  std::string read_only_checksum_;
  int64_t step_ = 0;
  int64_t saved_step_ = 0;
  int64_t tokens_seen_ = 0;
  int64_t tokens_since_log_ = 0;
  Clock::time_point logged_at_;
  int64_t evaluated_step_ = 0;
  int64_t evaluations_without_gain_ = 0;
  bool stopped_early_ = false;
  std::optional<double> best_reward_;
};

}  // namespace

int train(PpoRun run) { return PpoLoop(std::move(run)).run(); }

}  // namespace cria
