#include "trainers/run_directory.h"

#include <filesystem>

#include <spdlog/spdlog.h>

#include "cria/io/atomic_directory.h"
#include "cria/io/hugging_face.h"

#include "trainers/environment.h"
#include "trainers/run_settings.h"
#include "trainers/signals.h"

namespace cria {

RunDirectory::RunDirectory(const TrainConfig& config, std::string resolved_config,
                           const Tokenizer& tokenizer, Communicator& communicator, Backend& backend)
    : config_(config),
      resolved_config_(std::move(resolved_config)),
      tokenizer_(tokenizer),
      communicator_(communicator),
      backend_(backend),
      path_(config.training.output_dir),
      is_root_(communicator.is_root()) {
  install_stop_signals();
}

std::optional<SavedRun> RunDirectory::resume() {
  std::optional<SavedRun> saved;
  std::string checkpoint = config_.checkpoint.resume;
  if (checkpoint == "auto") checkpoint = latest_checkpoint(path_).value_or("none");
  if (checkpoint == "none") {
    if (latest_checkpoint(path_)) {
      throw input_error("checkpoint.resume", path_ + " already holds checkpoints",
                        "set it to auto to go on, or choose another training.output_dir");
    }
  } else {
    saved = SavedRun{.checkpoint = checkpoint, .state = read_trainer_state(checkpoint)};
    check_same_settings(checkpoint, saved->state.at("config"), resolved_config_);
    say("resuming from " + checkpoint);
  }
  require_same_on_all_ranks(saved ? saved->state.at("step").get<int64_t>() : 0);
  return saved;
}

// Each rank has looked for checkpoints itself; where the directory is not shared, they find
// different ones.
void RunDirectory::require_same_on_all_ranks(int64_t step) {
  double sum[] = {static_cast<double>(step)};
  communicator_.all_reduce_sum(std::span<double>(sum));
  if (sum[0] == static_cast<double>(step * communicator_.size())) return;
  throw input_error("training.output_dir",
                    fmt::format("the ranks do not go on from the same step, rank {} from {}",
                                communicator_.rank(), step),
                    "every rank must see the same directory");
}

void RunDirectory::start(int64_t step, int64_t last_step) {
  if (!is_root_) return;
  std::filesystem::create_directories(path_);
  lock_ = std::make_unique<DirectoryLock>("training.output_dir", path_);
  write_file_atomically(path_ + "/config.yaml", resolved_config_);
  write_file_atomically(path_ + "/environment.json",
                        environment(backend_, communicator_).dump(2) + "\n");
  metrics_ = std::make_unique<MetricsFile>(path_ + "/metrics.jsonl", step);
  if (config_.logging.tensorboard) {
    events_ = std::make_unique<EventFile>(path_ + "/tensorboard", step);
  }
  progress_ = std::make_unique<Progress>(
      "step", last_step, ProgressOptions{.stream = stdout, .done = step, .plain_seconds = 0});
}

void RunDirectory::show(int64_t step, std::string_view details) {
  if (progress_) progress_->update(step, details);
}

void RunDirectory::say(std::string_view line) const {
  if (is_root_) spdlog::info("{}", line);
}

void RunDirectory::record(int64_t step, const Figures& figures) {
  if (metrics_) metrics_->write(step, figures);
  if (events_) events_->write(step, figures);
}

void RunDirectory::save(int64_t step, const std::vector<CheckpointModel>& models,
                        nlohmann::json state) {
  if (is_root_) {
    state["config"] = resolved_config_;
    save_checkpoint(path_, step, config_.checkpoint.keep,
                    {.models = models,
                     .tokenizer_model = tokenizer_.model_bytes(),
                     .trainer_state = std::move(state)},
                    backend_);
  }
  communicator_.barrier();
}

void RunDirectory::write_model_directory(const std::string& name, const ModelConfig& config,
                                         const ParameterSet& weights, DType storage) {
  if (is_root_) {
    AtomicDirectory directory(path_ + "/" + name);
    write_model(directory.path(), config, weights, backend_, storage);
    write_tokenizer(directory.path(), tokenizer_.model_bytes());
    directory.commit();
  }
  communicator_.barrier();
}

}  // namespace cria
