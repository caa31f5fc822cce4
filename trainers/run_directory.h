// What every run does around its steps, whatever a step is: the output directory with its config,
// metrics, checkpoints and final model, the progress on the terminal, resuming and stopping.
// Collective: every rank has one and makes the same calls; the root alone writes and prints.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cria/dist/communicator.h"
#include "cria/io/checkpoint.h"
#include "cria/io/directory_lock.h"
#include "cria/report/event_file.h"
#include "cria/report/metrics.h"
#include "cria/report/progress.h"
#include "cria/text/tokenizer.h"

#include "trainers/signals.h"
#include "trainers/train_config.h"

namespace cria {

// Named figures of a step or an evaluation, in the order in which they are shown; "loss" first.
using Figures = std::vector<std::pair<std::string, double>>;

// Where a run goes on: a checkpoint and what the trainer had saved as its state.
struct SavedRun {
  std::string checkpoint;
  nlohmann::json state;
};

class RunDirectory {
 public:
  RunDirectory(const TrainConfig& config, std::string resolved_config, const Tokenizer& tokenizer,
               Communicator& communicator, Backend& backend);

  // What checkpoint.resume says, after a check that the settings are those of the checkpoint; none
  // for a run from the start. Refused where the ranks find different checkpoints. Writes nothing.
  std::optional<SavedRun> resume();

  // Once models and data are read: makes the directory, with config.yaml, metrics and progress of a
  // run that has done `step` steps and now goes up to `last_step`. Refused where another process
  // runs in the directory.
  void start(int64_t step, int64_t last_step);

  // The line of the bar. True where there is a bar; elsewhere log lines say how far a run is.
  void show(int64_t step, std::string_view details);
  bool has_bar() const { return progress_ && progress_->has_bar(); }
  // A line for people, above the bar; of the root alone.
  void say(std::string_view line) const;
  // To metrics.jsonl and TensorBoard.
  void record(int64_t step, const Figures& figures);

  // The signal that stops the run, 0 for none: one that any rank got.
  int agreed_stop_signal() { return cria::agreed_stop_signal(communicator_); }

  // `state` gets the resolved config added.
  void save(int64_t step, const std::vector<CheckpointModel>& models, nlohmann::json state);
  // final/, or another name: a Hugging Face directory in `storage`.
  void write_model_directory(const std::string& name, const ModelConfig& config,
                             const ParameterSet& weights, DType storage);
  void close() { progress_.reset(); }  // the bar, before last words

  const std::string& path() const { return path_; }
  bool is_root() const { return is_root_; }

 private:
  void require_same_on_all_ranks(int64_t step);

  const TrainConfig& config_;
  const std::string resolved_config_;
  const Tokenizer& tokenizer_;
  Communicator& communicator_;
  Backend& backend_;
  const std::string path_;
  const bool is_root_;
  // Of the root.
  std::unique_ptr<DirectoryLock> lock_;
  std::unique_ptr<MetricsFile> metrics_;
  std::unique_ptr<EventFile> events_;
  std::unique_ptr<Progress> progress_;
};

}  // namespace cria
