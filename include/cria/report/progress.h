// How far a long piece of work is: a bar on a terminal, plain lines elsewhere.
//
//   Progress progress("answers", requests.size());
//   …progress.update(done, fmt::format("{:.0f} tokens/s", rate));
//
// On a terminal that is one line, drawn over and over, as wide as the terminal is at the moment:
//
//   step 420/1000 [========>           ]  42%  loss 2.3412  1234 tokens/s  12:03 left
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>

namespace cria {

struct ProgressOptions {
  std::FILE* stream = stderr;
  int64_t done = 0;           // before this began (a resumed run): says nothing about the speed
  double plain_seconds = 10;  // without a bar, a line at most so often; 0: no lines
};

// Not for several threads at once. Texts are ASCII of one line.
class Progress {
 public:
  // `what` is counted, up to `total`.
  Progress(std::string what, int64_t total, const ProgressOptions& options = {});
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress();  // finishes

  // Whether there is a bar: the stream is a terminal of known width, and TERM is not "dumb".
  bool has_bar() const { return has_bar_; }

  // Cheap enough to be called after each small piece of work: the bar is drawn ten times a second
  // at most.
  void update(int64_t done, std::string_view details);

  // A line of its own, above the bar. While there is a bar, what spdlog's default logger is given
  // comes to stand above it too.
  void message(std::string_view line);

  // Leaves the bar as it stands, with the time that all took, and the cursor on a new line. Also
  // right after an error or a signal; nothing is drawn from then on.
  void finish();

 private:
  using Clock = std::chrono::steady_clock;
  class LogAbove;

  std::string counts() const;
  std::string time_left() const;
  void draw(const std::string& time);
  void erase();
  void show(const std::string& text);

  const std::string what_;
  const int64_t total_;
  const ProgressOptions options_;
  const bool has_bar_;
  bool finished_ = false;
  int64_t done_;
  std::string details_;
  const Clock::time_point start_ = Clock::now();
  Clock::time_point shown_ = start_;
  std::shared_ptr<LogAbove> log_above_;  // while there is a bar
};

}  // namespace cria
