#include "cria/report/progress.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace cria::testing {

namespace {

// A pseudo-terminal: what is written to stream() can be read as the terminal would get it.
class Terminal {
 public:
  explicit Terminal(int columns) {
    const winsize size = of_width(columns);
    int end = -1;
    EXPECT_EQ(openpty(&terminal_, &end, nullptr, nullptr, &size), 0);
    stream_ = fdopen(end, "w");
    setenv("TERM", "xterm", 1);
  }
  Terminal(const Terminal&) = delete;
  ~Terminal() {
    fclose(stream_);
    close(terminal_);
  }

  std::FILE* stream() const { return stream_; }
  void resize(int columns) const {
    const winsize size = of_width(columns);
    EXPECT_EQ(ioctl(terminal_, TIOCSWINSZ, &size), 0);
  }
  // All that was written since the last call.
  std::string written() const {
    std::string text;
    pollfd ready = {.fd = terminal_, .events = POLLIN, .revents = 0};
    while (poll(&ready, 1, 0) == 1 && (ready.revents & POLLIN)) {
      std::array<char, 4096> part;
      const ssize_t count = read(terminal_, part.data(), part.size());
      if (count <= 0) break;
      text.append(part.data(), static_cast<size_t>(count));
    }
    return text;
  }

 private:
  static winsize of_width(int columns) {
    winsize size = {};
    size.ws_row = 24;
    size.ws_col = static_cast<unsigned short>(columns);
    return size;
  }

  int terminal_ = -1;
  std::FILE* stream_ = nullptr;
};

// The lines that a terminal shows after `text`: \r goes back, ESC [ K erases the rest of the line.
std::vector<std::string> shown(const std::string& text) {
  std::vector<std::string> lines = {""};
  size_t column = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\r') {
      column = 0;
    } else if (text[i] == '\n') {
      lines.emplace_back();
    } else if (text.compare(i, 3, "\x1b[K") == 0) {
      lines.back().resize(std::min(lines.back().size(), column));
      i += 2;
    } else {
      if (lines.back().size() <= column) lines.back().resize(column + 1, ' ');
      lines.back()[column++] = text[i];
    }
  }
  return lines;
}

void wait_for_next_drawing() { std::this_thread::sleep_for(std::chrono::milliseconds(110)); }

TEST(Progress, ABarWithDetailsAndTimeLeft) {
  const Terminal terminal(80);
  Progress progress("step", 1000, {.stream = terminal.stream()});
  EXPECT_TRUE(progress.has_bar());
  wait_for_next_drawing();
  progress.update(500, "loss 2.5000  1234 tokens/s");
  const std::string line = shown(terminal.written()).back();
  EXPECT_TRUE(line.starts_with("step 500/1000 [===")) << line;
  EXPECT_NE(line.find("=>  "), std::string::npos) << line;
  EXPECT_NE(line.find(" ]  50%  loss 2.5000  1234 tokens/s  0:0"), std::string::npos) << line;
  EXPECT_TRUE(line.ends_with(" left")) << line;
  EXPECT_EQ(line.size(), 79u);
  progress.finish();
  const std::vector<std::string> lines = shown(terminal.written());
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_TRUE(lines[0].starts_with("step 500/1000 [===")) << lines[0];
  EXPECT_NE(lines[0].find(" ]  50%  loss 2.5000  1234 tokens/s  in 0:0"), std::string::npos)
      << lines[0];
  EXPECT_EQ(lines[1], "");
  progress.update(501, "late");
  EXPECT_EQ(terminal.written(), "");
}

TEST(Progress, TimeLeftIsThatOfTheStepsOfThisPart) {
  const Terminal terminal(80);
  const auto start = std::chrono::steady_clock::now();
  Progress progress("step", 1000, {.stream = terminal.stream(), .done = 900});
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  progress.update(902, "");
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  const std::string line = shown(terminal.written()).back();
  const size_t at = line.find("0:");
  ASSERT_NE(at, std::string::npos) << line;
  const int left = std::stoi(line.substr(at + 2));
  EXPECT_GE(left, 9);  // 98 to go at 0.1 s or more
  EXPECT_LE(left, 98 * seconds.count() / 2 + 1) << line;
}

TEST(Progress, AsWideAsTheTerminalIsAtTheMoment) {
  const Terminal terminal(80);
  Progress progress("step", 1000, {.stream = terminal.stream()});
  for (const int columns : {80, 30, 200, 12, 1, 60}) {
    terminal.resize(columns);
    wait_for_next_drawing();
    terminal.written();
    progress.update(500, "loss 2.5000  1234 tokens/s");
    const std::string line = shown(terminal.written()).back();
    EXPECT_LT(static_cast<int>(line.size()), columns);
    EXPECT_TRUE(line.starts_with(std::string("step 500/1000 ").substr(0, line.size()))) << line;
    EXPECT_EQ(line.find('[') != std::string::npos, columns >= 80) << line;
    EXPECT_EQ(line.find("left") != std::string::npos, columns >= 60) << line;
  }
}

TEST(Progress, DoesNotFlood) {
  const Terminal terminal(80);
  Progress progress("token", 100'000, {.stream = terminal.stream()});
  const auto start = std::chrono::steady_clock::now();
  for (int64_t done = 0; done < 100'000; ++done) progress.update(done, "");
  const auto drawings = [&] {
    const std::string text = terminal.written();
    return std::count(text.begin(), text.end(), '\r');
  }();
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  EXPECT_LE(static_cast<double>(drawings), 1 + seconds / 0.1);
}

TEST(Progress, MessagesAndLogLinesStandAboveTheBar) {
  const Terminal terminal(60);
  const auto logger_before = spdlog::default_logger();
  std::ostringstream log;
  {
    const auto sink = std::make_shared<spdlog::sinks::ostream_sink_st>(log);
    spdlog::set_default_logger(std::make_shared<spdlog::logger>("test", sink));
    spdlog::set_pattern("%v");
    Progress progress("step", 10, {.stream = terminal.stream()});
    wait_for_next_drawing();
    progress.update(3, "loss 1");
    progress.message("saved");
    const std::vector<std::string> lines = shown(terminal.written());
    ASSERT_EQ(lines.size(), 2u);
    EXPECT_EQ(lines[0], "saved");
    EXPECT_EQ(lines[1].substr(0, 11), "step 3/10 [");
    spdlog::info("from elsewhere");
    EXPECT_EQ(log.str(), "from elsewhere\n");
    // The log goes elsewhere here: on the terminal the line was cleared for it, and drawn again.
    const std::string around = terminal.written();
    EXPECT_EQ(around.find("\r\x1b[K\rstep 3/10 ["), 0u) << around;
    progress.finish();
    terminal.written();
    spdlog::info("later");
    EXPECT_EQ(terminal.written(), "");
    EXPECT_EQ(log.str(), "from elsewhere\nlater\n");
  }
  spdlog::set_default_logger(logger_before);
}

TEST(Progress, AnErrorLeavesTheBarOnALineOfItsOwn) {
  const Terminal terminal(60);
  try {
    Progress progress("step", 10, {.stream = terminal.stream()});
    progress.update(3, "loss 1");
    throw std::runtime_error("broken");
  } catch (const std::runtime_error&) {
    std::fprintf(terminal.stream(), "error: broken\n");
    std::fflush(terminal.stream());
  }
  const std::vector<std::string> lines = shown(terminal.written());
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0].substr(0, 11), "step 3/10 [");
  EXPECT_EQ(lines[1], "error: broken");
}

TEST(Progress, PlainLinesElsewhere) {
  std::FILE* file = std::tmpfile();
  {
    Progress progress("answer", 100, {.stream = file, .plain_seconds = 0.05});
    EXPECT_FALSE(progress.has_bar());
    progress.update(1, "too early");
    wait_for_next_drawing();
    progress.update(100, "99 tokens/s");
    progress.message("a message");
  }
  Progress silent("answer", 100, {.stream = file, .plain_seconds = 0});
  wait_for_next_drawing();
  silent.update(50, "not shown");
  std::rewind(file);
  std::array<char, 4096> text = {};
  const size_t count = std::fread(text.data(), 1, text.size(), file);
  EXPECT_EQ(std::string(text.data(), count), "answer 100/100  99 tokens/s  0:00 left\na message\n");
  std::fclose(file);
}

TEST(Progress, NoBarOnADumbTerminalOrOneOfUnknownWidth) {
  const Terminal unknown(0);
  EXPECT_FALSE(Progress("step", 10, {.stream = unknown.stream()}).has_bar());
  const Terminal terminal(80);
  setenv("TERM", "dumb", 1);
  EXPECT_FALSE(Progress("step", 10, {.stream = terminal.stream()}).has_bar());
  unsetenv("TERM");
  EXPECT_FALSE(Progress("step", 10, {.stream = terminal.stream()}).has_bar());
}

}  // namespace

}  // namespace cria::testing
