#include "cria/core/child_process.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <iterator>

#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cria/core/error.h"

extern char** environ;

namespace cria {

namespace {

// Memory that another process reads and writes as a file.
class MemoryFile {
 public:
  explicit MemoryFile(const std::string& program)
      : program_(program), descriptor_(memfd_create("child", MFD_CLOEXEC)) {
    if (descriptor_ < 0) throw system_failure(program_, "cannot make a file in memory");
  }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  ~MemoryFile() { close(descriptor_); }

  int descriptor() const { return descriptor_; }

  void fill(const std::string& text) {
    for (size_t done = 0; done < text.size();) {
      const ssize_t written = ::write(descriptor_, text.data() + done, text.size() - done);
      if (written < 0) throw system_failure(program_, "cannot write its input");
      done += static_cast<size_t>(written);
    }
    lseek(descriptor_, 0, SEEK_SET);
  }

  std::string contents() const {
    std::string text;
    std::array<char, 1 << 14> piece;
    while (true) {
      const ssize_t got =
          pread(descriptor_, piece.data(), piece.size(), static_cast<off_t>(text.size()));
      if (got < 0) throw system_failure(program_, "cannot read what it printed");
      if (got == 0) return text;
      text.append(piece.data(), static_cast<size_t>(got));
    }
  }

 private:
  std::string program_;
  int descriptor_;
};

// Parents first: one that is stopped starts no more children.
void kill_tree(pid_t process) {
  kill(process, SIGSTOP);
  const std::string id = std::to_string(process);
  std::ifstream list("/proc/" + id + "/task/" + id + "/children");
  for (std::istream_iterator<pid_t> child(list), end; child != end; ++child) kill_tree(*child);
  kill(process, SIGKILL);
}

// Whether the process ends in time.
bool ends_within(std::chrono::milliseconds timeout, pid_t process, const std::string& program) {
  const auto descriptor = static_cast<int>(syscall(SYS_pidfd_open, process, 0));
  if (descriptor < 0) throw system_failure(program, "cannot wait for it");
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  pollfd ended = {.fd = descriptor, .events = POLLIN, .revents = 0};
  int ready = 0;
  do {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    ready = poll(&ended, 1, static_cast<int>(std::max<int64_t>(left.count(), 0)));
  } while (ready < 0 && errno == EINTR);
  close(descriptor);
  return ready > 0;
}

}  // namespace

ChildResult run_child(std::vector<std::string> words, const ChildOptions& options) {
  const std::string program = words.front();
  MemoryFile input(program), output(program), errors(program);
  input.fill(options.input);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, input.descriptor(), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, output.descriptor(), STDOUT_FILENO);
  if (options.capture_errors) {
    posix_spawn_file_actions_adddup2(&actions, errors.descriptor(), STDERR_FILENO);
  }
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  pid_t process = 0;
  const int refused =
      posix_spawnp(&process, program.c_str(), &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (refused == ENOENT) throw failure(program, "is not installed", options.remedy);
  if (refused != 0) {
    throw failure(program, std::string("cannot start: ") + std::strerror(refused));
  }

  ChildResult result;
  if (options.timeout.count() > 0 && !ends_within(options.timeout, process, program)) {
    result.timed_out = true;
    kill_tree(process);
  }
  int status = 0;
  while (waitpid(process, &status, 0) < 0) {
    if (errno != EINTR) throw system_failure(program, "cannot wait for it");
  }
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  result.output = output.contents();
  result.errors = errors.contents();
  return result;
}

}  // namespace cria
