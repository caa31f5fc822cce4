#include "trainers/rlhf.h"

#include <filesystem>
#include <sstream>

#include <spdlog/spdlog.h>

#include "cria/io/atomic_directory.h"
#include "cria/io/directory_lock.h"
#include "cria/io/file.h"

#include "trainers/rlhf/iteration_report.h"
#include "trainers/rlhf/iteration_stages.h"
#include "trainers/run_settings.h"

namespace cria {

namespace {

class RlhfRun {
 public:
  explicit RlhfRun(const RlhfRecipe& recipe)
      : recipe_(recipe),
        directory_(recipe.shared().training.output_dir),
        stages_(iteration_stages(recipe)),
        communicator_(make_communicator()) {
    if (!communicator_->is_root()) return;
    std::filesystem::create_directories(directory_);
    lock_ = std::make_unique<DirectoryLock>("training.output_dir", directory_);
    ledger_ = std::make_unique<Ledger>(directory_ + "/ledger.json");
  }

  int run() {
    for (const IterationStage& stage : stages_) {
      if (is_done(stage)) continue;
      say(fmt::format("== {}", stage.files.name));
      if (communicator_->is_root()) {
        write_file_atomically(directory_ + "/config.yaml", print_stages(recipe_));
      }
      if (const int exit_code = stage.run(*communicator_)) return exit_code;
      if (communicator_->is_root()) finish(stage);
      communicator_->barrier();
    }
    if (communicator_->is_root()) report();
    return 0;
  }

 private:
  void say(const std::string& line) const {
    if (communicator_->is_root()) spdlog::info("{}", line);
  }

  // As the root finds it.
  bool is_done(const IterationStage& stage) {
    bool done = false;
    if (communicator_->is_root() && ledger_->is_done(stage.files)) {
      const std::string& place = stage.files.directory;
      check_same_settings(place, read_file(place + "/config.yaml"), stage.settings);
      say(fmt::format("== {} is done", stage.files.name));
      done = true;
    }
    return from_root(*communicator_, done);
  }

  void finish(const IterationStage& stage) {
    for (const std::string& path : stage.files.outputs) {
      if (std::filesystem::exists(path)) continue;
      throw failure(stage.files.name, path + " was not made", "the stage ended early");
    }
    ledger_->finish(stage.files);
  }

  void report() const {
    std::vector<IterationFigures> iterations;
    for (size_t i = 0; i < recipe_.iterations(); ++i) {
      iterations.push_back({recipe_.name(i), nlohmann::ordered_json::parse(
                                                 read_file(iteration_figures_path(recipe_, i)))});
    }
    say("all iterations\n" + write_iteration_report(directory_, iterations));
  }

  const RlhfRecipe& recipe_;
  const std::string directory_;
  const std::vector<IterationStage> stages_;
  std::unique_ptr<Communicator> communicator_;
  std::unique_ptr<DirectoryLock> lock_;  // of the root
  std::unique_ptr<Ledger> ledger_;
};

}  // namespace

int rlhf(const RlhfRecipe& recipe) { return RlhfRun(recipe).run(); }

std::string print_stages(const RlhfRecipe& recipe) {
  std::string text;
  for (const IterationStage& stage : iteration_stages(recipe)) {
    text += stage.files.name + ":\n";
    std::istringstream lines(stage.settings);
    for (std::string line; std::getline(lines, line);) text += "  " + line + "\n";
  }
  return text;
}

}  // namespace cria
