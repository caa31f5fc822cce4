#include "trainers/train_loop.h"

#include <chrono>
#include <cmath>
#include <csignal>
#include <filesystem>

#include <spdlog/spdlog.h>

#include "cria/io/atomic_directory.h"
#include "cria/io/hugging_face.h"
#include "cria/report/event_file.h"
#include "cria/report/metrics.h"
#include "cria/report/progress.h"

#include "trainers/run_settings.h"
#include "trainers/signals.h"

namespace cria {

namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

class TrainLoop {
 public:
  explicit TrainLoop(TrainRun run)
      : run_(std::move(run)),
        config_(run_.config),
        total_steps_(total_steps(config_, run_.data)),
        schedule_(schedule(config_, total_steps_)),
        output_dir_(config_.training.output_dir),
        is_root_(run_.communicator.is_root()) {}

  int run() {
    install_stop_signals();
    resume();
    const int64_t last_step =
        std::min(total_steps_, config_.training.stop_at_step.value_or(total_steps_));
    if (is_root_) {
      metrics_ = std::make_unique<MetricsFile>(output_dir_ + "/metrics.jsonl", step_);
      if (config_.logging.tensorboard) {
        events_ = std::make_unique<EventFile>(output_dir_ + "/tensorboard", step_);
      }
      spdlog::info("{} steps, {} done", total_steps_, step_);
      progress_ = std::make_unique<Progress>(
          "step", last_step, ProgressOptions{.stream = stdout, .done = step_, .plain_seconds = 0});
    }
    logged_at_ = Clock::now();
    int signal = 0;
    while (step_ < last_step && signal == 0) {
      train_step();
      if (is_due(config_.training.eval_steps)) evaluate();
      signal = agreed_stop_signal();
      if (is_due(config_.checkpoint.save_steps) || step_ == last_step || signal != 0) save();
    }
    progress_.reset();
    if (step_ == total_steps_) finish();
    if (signal != 0 && step_ < total_steps_) {
      if (is_root_) spdlog::info("stopped by signal {} after step {}, saved", signal, step_);
      return 128 + signal;
    }
    return 0;
  }

 private:
  bool is_due(int64_t every) const { return every > 0 && step_ % every == 0; }

  void resume() {
    std::string checkpoint;
    if (config_.checkpoint.resume == "auto") {
      checkpoint = latest_checkpoint(output_dir_).value_or("");
    } else if (config_.checkpoint.resume != "none") {
      checkpoint = config_.checkpoint.resume;
    }
    if (checkpoint.empty()) {
      if (latest_checkpoint(output_dir_)) {
        throw input_error("checkpoint.resume", output_dir_ + " already holds checkpoints",
                          "set it to auto to go on, or choose another training.output_dir");
      }
      run_.learner.load_model(config_.model.path);
    } else {
      const nlohmann::json state = read_trainer_state(checkpoint);
      check_same_settings(checkpoint, state.at("config"), run_.resolved_config);
      load_checkpoint(checkpoint, {run_.learner.checkpoint_model()}, run_.learner.backend());
      run_.learner.loaded();
      step_ = state.at("step").get<int64_t>();
      tokens_seen_ = state.at("num_tokens").get<int64_t>();
      run_.data.seek(state.at("data_cursor").get<std::vector<int64_t>>());
      if (is_root_) spdlog::info("resuming from {}", checkpoint);
    }
    if (is_root_) {
      fs::create_directories(output_dir_);
      write_file_atomically(output_dir_ + "/config.yaml", run_.resolved_config);
    }
  }

  // Passes over the groups of this rank; figures over all ranks.
  Figures pass_over(std::span<const Group> groups, PassKind kind) {
    run_.objective.begin(groups);
    for (const MicroBatch& micro : split(groups, run_.learner.max_tokens(),
                                         run_.communicator.rank(), run_.communicator.size())) {
      run_.objective.pass(run_.learner, micro, kind);
    }
    return run_.objective.end(run_.communicator);
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
      optimizer.all_reduce_gradients(run_.communicator);
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
    if (is_root_) {
      progress_->update(step_,
                        fmt::format("loss {:.4f}  {:.0f} tokens/s", figures.front().second, rate));
    }
    if (is_due(config_.logging.logging_steps) || step_ == 1 || step_ == total_steps_) {
      log(std::move(figures), norm, learning_rate, rate);
    }
  }

  void log(Figures figures, double norm, double learning_rate, double rate) {
    logged_at_ = Clock::now();
    tokens_since_log_ = 0;
    if (!is_root_) return;
    if (!progress_->has_bar()) {
      spdlog::info("step {}/{}  loss {:.4f}  grad_norm {:.3f}  lr {:.3g}  {:.0f} tokens/s", step_,
                   total_steps_, figures.front().second, norm, learning_rate, rate);
    }
    figures.emplace_back("grad_norm", norm);
    figures.emplace_back("learning_rate", learning_rate);
    figures.emplace_back("num_tokens", static_cast<double>(tokens_seen_));
    figures.emplace_back("tokens_per_second", rate);
    record(figures);
  }

  void evaluate() {
    const std::vector<Group> groups = run_.objective.groups(run_.evaluation_rows);
    Figures figures;
    for (const auto& [name, value] : pass_over(groups, PassKind::evaluation)) {
      figures.emplace_back("eval_" + name, value);
      if (name == "loss") figures.emplace_back("eval_perplexity", std::exp(value));
    }
    logged_at_ = Clock::now();  // the time of an evaluation is not the training's
    tokens_since_log_ = 0;
    if (!is_root_) return;
    spdlog::info("step {}/{}  eval loss {:.4f}  perplexity {:.2f}", step_, total_steps_,
                 figures[0].second, figures[1].second);
    record(figures);
  }

  void record(const Figures& figures) {
    metrics_->write(step_, figures);
    if (events_) events_->write(step_, figures);
  }

  int agreed_stop_signal() {
    double signals[] = {static_cast<double>(stop_signal())};
    run_.communicator.all_reduce_sum(std::span<double>(signals));
    if (!(signals[0] > 0)) return 0;
    return stop_signal() != 0 ? stop_signal() : SIGTERM;
  }

  void save() {
    if (is_root_) {
      save_checkpoint(output_dir_, step_, config_.checkpoint.keep,
                      {.models = {run_.learner.checkpoint_model()},
                       .tokenizer_model = run_.tokenizer.model_bytes(),
                       .trainer_state = {{"step", step_},
                                         {"num_tokens", tokens_seen_},
                                         {"data_cursor", run_.data.cursor()},
                                         {"config", run_.resolved_config}}},
                      run_.learner.backend());
      spdlog::info("step {}/{}  saved {}/checkpoint-{}", step_, total_steps_, output_dir_, step_);
    }
    run_.communicator.barrier();
  }

  void finish() {
    if (is_root_) {
      AtomicDirectory directory(output_dir_ + "/final");
      write_model(directory.path(), run_.learner.config(), run_.learner.optimizer.masters(),
                  run_.learner.backend(), run_.learner.model.dtype());
      write_tokenizer(directory.path(), run_.tokenizer.model_bytes());
      directory.commit();
      spdlog::info("{}", run_.data.report());
      spdlog::info("finished: {}/final", output_dir_);
    }
    run_.communicator.barrier();
  }

  TrainRun run_;
  const TrainConfig& config_;
  const int64_t total_steps_;
  const Schedule schedule_;
  const std::string output_dir_;
  const bool is_root_;
  // Of the root.
  std::unique_ptr<MetricsFile> metrics_;
  std::unique_ptr<EventFile> events_;
  std::unique_ptr<Progress> progress_;
  int64_t step_ = 0;
  int64_t tokens_seen_ = 0;
  int64_t tokens_since_log_ = 0;
  Clock::time_point logged_at_;
};

}  // namespace

int train(TrainRun run) { return TrainLoop(std::move(run)).run(); }

}  // namespace cria
