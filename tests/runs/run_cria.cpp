#include "runs/run_cria.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <thread>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/places.h"

namespace cria::testing {

namespace fs = std::filesystem;

namespace {

int unnamed_file() {
  const int descriptor = memfd_create("cria-output", 0);
  if (descriptor < 0) ADD_FAILURE() << "cannot create a file in memory";
  return descriptor;
}

std::string contents(int descriptor) {
  std::string text(static_cast<size_t>(lseek(descriptor, 0, SEEK_END)), '\0');
  if (pread(descriptor, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
    ADD_FAILURE() << "cannot read what the process printed";
  }
  return text;
}

}  // namespace

Process::Process(const std::vector<std::string>& arguments, size_t file_size_limit) {
  std::vector<std::string> words = {cria_binary()};
  words.insert(words.end(), arguments.begin(), arguments.end());
  start(words, file_size_limit);
}

Process::Process(const std::vector<std::string>& launcher,
                 const std::vector<std::string>& arguments) {
  std::vector<std::string> words = launcher;
  words.push_back(cria_binary());
  words.insert(words.end(), arguments.begin(), arguments.end());
  start(words, 0);
}

void Process::start(std::vector<std::string> words, size_t file_size_limit) {
  output_ = unnamed_file();
  errors_ = unnamed_file();
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  pid_ = fork();
  if (pid_ == 0) {
    dup2(output_, STDOUT_FILENO);
    dup2(errors_, STDERR_FILENO);
    if (file_size_limit > 0) {
      const rlimit limit = {file_size_limit, file_size_limit};
      setrlimit(RLIMIT_FSIZE, &limit);
    }
    execvp(argv[0], argv.data());
    _exit(127);
  }
}

Process::~Process() {
  if (!finished_) {
    signal(SIGKILL);
    wait();
  }
  close(output_);
  close(errors_);
}

void Process::signal(int number) const { kill(pid_, number); }

bool Process::handles(int number) const {
  std::ifstream status("/proc/" + std::to_string(pid_) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (!line.starts_with("SigCgt:")) continue;
    return (std::stoull(line.substr(7), nullptr, 16) >> (number - 1) & 1) != 0;
  }
  return false;
}

bool Process::running() {
  if (!finished_) finished_ = waitpid(pid_, &status_, WNOHANG) == pid_;
  return !finished_;
}

std::vector<pid_t> Process::children() const {
  const std::string pid = std::to_string(pid_);
  std::ifstream list("/proc/" + pid + "/task/" + pid + "/children");
  return {std::istream_iterator<pid_t>(list), {}};
}

bool Process::wait_for(const std::string& path, size_t bytes) {
  while (running()) {
    std::error_code gone;
    const bool is_directory = fs::is_directory(path, gone);
    if (is_directory || (fs::exists(path, gone) && fs::file_size(path, gone) >= bytes && !gone)) {
      return true;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

ProcessResult Process::wait() {
  if (!finished_) {
    waitpid(pid_, &status_, 0);
    finished_ = true;
  }
  return {.exit_code = WIFEXITED(status_) ? WEXITSTATUS(status_) : -WTERMSIG(status_),
          .output = contents(output_),
          .errors = contents(errors_)};
}

ProcessResult run_cria(const std::vector<std::string>& arguments, size_t file_size_limit) {
  return Process(arguments, file_size_limit).wait();
}

void run_cria_well(const std::vector<std::string>& arguments) {
  const ProcessResult result = run_cria(arguments);
  ASSERT_EQ(result.exit_code, 0) << result.output << result.errors;
}

std::string read_bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) ADD_FAILURE() << "cannot read " << path;
  std::ostringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}

size_t read_lines(const std::string& path) {
  const std::string bytes = read_bytes(path);
  return static_cast<size_t>(std::count(bytes.begin(), bytes.end(), '\n'));
}

void write_bytes(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

std::map<std::string, std::string> read_tree(const std::string& directory) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    if (!entry.is_regular_file()) continue;
    files[fs::relative(entry.path(), directory).string()] = read_bytes(entry.path().string());
  }
  return files;
}

std::vector<nlohmann::json> read_metrics(const std::string& run_directory) {
  std::vector<nlohmann::json> lines;
  std::ifstream file(run_directory + "/metrics.jsonl");
  for (std::string line; std::getline(file, line);) {
    lines.push_back(nlohmann::json::parse(line));
    for (const char* name : {"tokens_per_second", "time/rollout", "time/scoring", "time/update"}) {
      lines.back().erase(name);
    }
  }
  return lines;
}

std::string golden(const std::string& name) { return source_path("tests/golden/" + name); }

}  // namespace cria::testing
