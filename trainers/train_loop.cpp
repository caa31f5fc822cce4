#include "trainers/train_loop.h"

#include <chrono>
#include <cmath>

#include "trainers/run_directory.h"

namespace cria {

namespace {

using Clock = std::chrono::steady_clock;

class TrainLoop {
 public:
  explicit TrainLoop(TrainRun run)
      : run_(std::move(run)),
        config_(run_.config),
        total_steps_(total_steps(config_, run_.data)),
        schedule_(schedule(config_, total_steps_)),
        directory_(config_, run_.resolved_config, run_.tokenizer, run_.communicator,
                   run_.learner.backend()) {}

  int run() {
    resume();
    const int64_t last_step =
        std::min(total_steps_, config_.training.stop_at_step.value_or(total_steps_));
    directory_.say(fmt::format("{} steps, {} done", total_steps_, step_));
    directory_.start(step_, last_step);
    logged_at_ = Clock::now();
    int signal = 0;
    while (step_ < last_step && signal == 0) {
      train_step();
      if (is_due(config_.training.eval_steps) || step_ == total_steps_) evaluate();
      signal = directory_.agreed_stop_signal();
      if (is_due(config_.checkpoint.save_steps) || step_ == last_step || signal != 0) save();
    }
    directory_.close();
    if (step_ == total_steps_) finish();
    if (signal != 0 && step_ < total_steps_) {
      directory_.say(fmt::format("stopped by signal {} after step {}, saved", signal, step_));
      return 128 + signal;
    }
    return 0;
  }

 private:
  bool is_due(int64_t every) const { return every > 0 && step_ % every == 0; }

  void resume() {
    const std::optional<SavedRun> saved = directory_.resume();
    if (!saved) {
      run_.learner.load_model(config_.model.path, config_.training.seed, run_.missing_head);
      return;
    }
    load_checkpoint(saved->checkpoint, {run_.learner.checkpoint_model()}, run_.learner.backend());
    run_.learner.loaded();
    step_ = saved->state.at("step").get<int64_t>();
    tokens_seen_ = saved->state.at("num_tokens").get<int64_t>();
    run_.data.seek(saved->state.at("data_cursor").get<std::vector<int64_t>>());
  }

  Figures pass_over(std::span<const Group> groups, PassKind kind) {
    return cria::pass_over(groups, kind, run_.objective, run_.learner, run_.communicator,
                           run_.reduction);
  }

  void train_step() {
    const std::vector<int64_t> cursor = run_.data.cursor();
    const std::vector<Group> groups =
        run_.objective.groups(run_.data.next(config_.training.train_batch_size));
    Optimizer& optimizer = run_.learner.optimizer;
    optimizer.zero_gradients();
    Figures figures;
    double norm = 0;
    try {
      figures = pass_over(groups, PassKind::training);
      norm = optimizer.gradient_norm();
      if (!std::isfinite(norm)) {
        throw failure("gradient",
                      fmt::format("its norm is {}; first bad tensor: gradient of {}", norm,
                                  optimizer.first_non_finite_gradient()),
                      "lower optimizer.learning_rate");
      }
    } catch (const Error& error) {
      if (error.kind() != Error::Kind::failure) throw;
      throw failure(
          fmt::format("step {}, batch at data cursor [{}]", step_ + 1, fmt::join(cursor, ", ")),
          error.what(), "the last checkpoint is intact");
    }
    ++step_;
    const double learning_rate = schedule_.learning_rate(step_);
    optimizer.update(step_, learning_rate, norm);

    int64_t tokens = 0;
    for (const Group& group : groups) {
      for (const Example& example : group) tokens += static_cast<int64_t>(example.ids.size());
    }
    tokens_seen_ += tokens;
    tokens_since_log_ += tokens;
    const double seconds = std::chrono::duration<double>(Clock::now() - logged_at_).count();
    const double rate = static_cast<double>(tokens_since_log_) / seconds;
    directory_.show(step_,
                    fmt::format("loss {:.4f}  {:.0f} tokens/s", figures.front().second, rate));
    if (is_due(config_.logging.logging_steps) || step_ == 1 || step_ == total_steps_) {
      log(std::move(figures), norm, learning_rate, rate);
    }
  }

  void log(Figures figures, double norm, double learning_rate, double rate) {
    logged_at_ = Clock::now();
    tokens_since_log_ = 0;
    if (!directory_.has_bar()) {
      directory_.say(
          fmt::format("step {}/{}  loss {:.4f}  grad_norm {:.3f}  lr {:.3g}  {:.0f} tokens/s",
                      step_, total_steps_, figures.front().second, norm, learning_rate, rate));
    }
    figures.emplace_back("grad_norm", norm);
    figures.emplace_back("learning_rate", learning_rate);
    figures.emplace_back("num_tokens", static_cast<double>(tokens_seen_));
    figures.emplace_back("tokens_per_second", rate);
    directory_.record(step_, figures);
  }

  void evaluate() {
    if (run_.evaluation_rows.empty()) return;
    const std::vector<Group> groups = run_.objective.groups(run_.evaluation_rows);
    Figures figures;
    std::string line = fmt::format("step {}/{}", step_, total_steps_);
    for (const auto& [name, value] : pass_over(groups, PassKind::evaluation)) {
      figures.emplace_back("eval_" + name, value);
      line += fmt::format("  eval_{} {:.4f}", name, value);
    }
    directory_.say(line);
    for (const auto& [name, value] : run_.objective.evaluated(directory_, step_ == total_steps_)) {
      figures.emplace_back("eval_" + name, value);
    }
    logged_at_ = Clock::now();  // the time of an evaluation is not the training's
    tokens_since_log_ = 0;
    directory_.record(step_, figures);
  }

  void save() {
    directory_.save(
        step_, {run_.learner.checkpoint_model()},
        {{"step", step_}, {"num_tokens", tokens_seen_}, {"data_cursor", run_.data.cursor()}});
    directory_.say(fmt::format("step {}/{}  saved {}/checkpoint-{}", step_, total_steps_,
                               directory_.path(), step_));
  }

  void finish() {
    directory_.write_model_directory("final", run_.learner.config(),
                                     run_.learner.optimizer.masters(), run_.learner.model.dtype());
    directory_.say(run_.data.report());
    directory_.say(fmt::format("finished: {}/final", directory_.path()));
  }

  TrainRun run_;
  const TrainConfig& config_;
  const int64_t total_steps_;
  const Schedule schedule_;
  RunDirectory directory_;
  int64_t step_ = 0;
  int64_t tokens_seen_ = 0;
  int64_t tokens_since_log_ = 0;
  Clock::time_point logged_at_;
};

}  // namespace

int train(TrainRun run) { return TrainLoop(std::move(run)).run(); }

}  // namespace cria
