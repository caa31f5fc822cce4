#include "runs/terminal_process.h"

#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <thread>
#include <utility>

#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "support/places.h"

namespace cria::testing {

namespace {

template <typename Condition>
bool within_a_minute(const Condition& holds) {
  for (int i = 0; i < 12000; ++i) {
    if (holds()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return false;
}

}  // namespace

TerminalProcess::TerminalProcess(const std::vector<std::string>& arguments,
                                 unsigned short columns) {
  std::vector<std::string> words = {cria_binary()};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const winsize size = {.ws_row = 24, .ws_col = columns, .ws_xpixel = 0, .ws_ypixel = 0};
  pid_ = forkpty(&terminal_, nullptr, nullptr, &size);
  if (pid_ == 0) {
    setenv("TERM", columns > 0 ? "xterm" : "dumb", 1);
    execv(argv[0], argv.data());
    _exit(127);
  }
}

TerminalProcess::~TerminalProcess() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  close(terminal_);
}

void TerminalProcess::type(const std::string& keys) {
  EXPECT_EQ(write(terminal_, keys.data(), keys.size()), static_cast<ssize_t>(keys.size()));
}

std::string TerminalProcess::read_until(const std::string& text) {
  while (unread_.find(text) == std::string::npos) {
    pollfd wanted = {.fd = terminal_, .events = POLLIN, .revents = 0};
    std::array<char, 4096> buffer;
    const ssize_t bytes =
        poll(&wanted, 1, 60000) == 1 ? read(terminal_, buffer.data(), buffer.size()) : -1;
    if (bytes <= 0) {
      ADD_FAILURE() << "no '" << text << "' in: " << unread_;
      return std::exchange(unread_, {});
    }
    unread_.append(buffer.data(), static_cast<size_t>(bytes));
  }
  const size_t end = unread_.find(text) + text.size();
  const std::string result = unread_.substr(0, end);
  unread_.erase(0, end);
  return result;
}

std::string TerminalProcess::read_to_end() {
  std::array<char, 4096> buffer;
  pollfd wanted = {.fd = terminal_, .events = POLLIN, .revents = 0};
  while (poll(&wanted, 1, 60000) == 1) {
    const ssize_t bytes = read(terminal_, buffer.data(), buffer.size());
    if (bytes <= 0) return std::exchange(unread_, {});
    unread_.append(buffer.data(), static_cast<size_t>(bytes));
  }
  ADD_FAILURE() << "not at its end: " << unread_;
  return std::exchange(unread_, {});
}

void TerminalProcess::read_prompt() {
  read_until("> ");
  EXPECT_TRUE(within_a_minute([&] {
    termios settings = {};
    return tcgetattr(terminal_, &settings) == 0 && (settings.c_lflag & ICANON) == 0;
  }));
}

int TerminalProcess::wait() {
  int status = 0;
  if (!within_a_minute([&] { return waitpid(pid_, &status, WNOHANG) == pid_; })) {
    ADD_FAILURE() << "still running";
    return -1;
  }
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

}  // namespace cria::testing
