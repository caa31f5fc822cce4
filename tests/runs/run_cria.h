// Runs build/cria as a user would, in a process of its own.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include <sys/types.h>

namespace cria::testing {

struct ProcessResult {
  int exit_code = -1;  // -signal when a signal ended it
  std::string output;  // stdout
  std::string errors;  // stderr
};

// A process under way.
class Process {
 public:
  // `file_size_limit`: RLIMIT_FSIZE in bytes; 0: none.
  Process(const std::vector<std::string>& arguments, size_t file_size_limit = 0);
  // The same behind a launcher: `mpirun -n 2 cria …`.
  Process(const std::vector<std::string>& launcher, const std::vector<std::string>& arguments);
  Process(const Process&) = delete;
  ~Process();

  pid_t pid() const { return pid_; }
  void signal(int number) const;
  bool handles(int number) const;  // has a handler of its own for that signal by now
  bool running();
  // Until a file has that many bytes, or a directory is there; false when the process ends before.
  bool wait_for(const std::string& path, size_t bytes = 1);
  std::vector<pid_t> children() const;
  ProcessResult wait();

 private:
  void start(std::vector<std::string> words, size_t file_size_limit);

  pid_t pid_ = -1;
  int output_ = -1;  // unlinked files
  int errors_ = -1;
  int status_ = 0;
  bool finished_ = false;
};

ProcessResult run_cria(const std::vector<std::string>& arguments, size_t file_size_limit = 0);
// The same, failing the test unless it exits with 0.
void run_cria_well(const std::vector<std::string>& arguments);

std::string read_bytes(const std::string& path);
void write_bytes(const std::string& path, const std::string& bytes);
size_t read_lines(const std::string& path);  // how many
// Every file below a directory, by its path relative to it.
std::map<std::string, std::string> read_tree(const std::string& directory);

// metrics.jsonl without what depends on the clock.
std::vector<nlohmann::json> read_metrics(const std::string& run_directory);

// The committed fixtures: tests/golden/NAME.
std::string golden(const std::string& name);

}  // namespace cria::testing
