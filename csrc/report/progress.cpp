#include "cria/report/progress.h"

#include <algorithm>
#include <cstdlib>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <spdlog/sinks/sink.h>
#include <spdlog/spdlog.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace cria {

namespace {

constexpr double kSecondsBetweenDrawings = 0.1;
constexpr const char* kEraseRest = "\x1b[K";  // of the line
constexpr int kNarrowestBar = 10;
constexpr int kWidestBar = 40;

// Columns; 0 where that is not known. mpirun gives its ranks pseudo-terminals: as wide as its own
// terminal, or of no width where its output is redirected.
int terminal_width(std::FILE* stream) {
  winsize size = {};
  return ioctl(fileno(stream), TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

bool can_show_bar(std::FILE* stream) {
  const char* kind = std::getenv("TERM");
  return isatty(fileno(stream)) != 0 && terminal_width(stream) > 0 && kind != nullptr &&
         std::string_view(kind) != "dumb";
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// 4:05, 3:04:05 or 2d 03:04:05.
std::string duration_text(double seconds) {
  const auto whole = static_cast<int64_t>(seconds + 0.5);
  const int64_t hours = whole / 3600;
  const int64_t minutes = whole / 60 % 60;
  if (hours >= 24) {
    return fmt::format("{}d {:02}:{:02}:{:02}", hours / 24, hours % 24, minutes, whole % 60);
  }
  if (hours > 0) return fmt::format("{}:{:02}:{:02}", hours, minutes, whole % 60);
  return fmt::format("{}:{:02}", minutes, whole % 60);
}

std::string bar(double share, int width) {
  const int inside = width - 2;
  const int full = std::clamp(static_cast<int>(share * inside), 0, inside);
  std::string text(static_cast<size_t>(full), '=');
  if (full < inside) text += '>';
  text.resize(static_cast<size_t>(inside), ' ');
  return "[" + text + "]";
}

}  // namespace

// Stands before the sinks of the default logger and clears the bar's line for them.
class Progress::LogAbove : public spdlog::sinks::sink {
 public:
  explicit LogAbove(Progress& progress)
      : progress_(progress), below_(spdlog::default_logger()->sinks()) {}

  void log(const spdlog::details::log_msg& line) override {
    progress_.erase();
    for (const spdlog::sink_ptr& below : below_) below->log(line);
    flush();
    progress_.draw(progress_.time_left());
  }
  void flush() override {
    for (const spdlog::sink_ptr& below : below_) below->flush();
  }
  void set_pattern(const std::string& pattern) override {
    for (const spdlog::sink_ptr& below : below_) below->set_pattern(pattern);
  }
  void set_formatter(std::unique_ptr<spdlog::formatter> formatter) override {
    for (const spdlog::sink_ptr& below : below_) below->set_formatter(formatter->clone());
  }
  const std::vector<spdlog::sink_ptr>& below() const { return below_; }

 private:
  Progress& progress_;
  const std::vector<spdlog::sink_ptr> below_;
};

Progress::Progress(std::string what, int64_t total, const ProgressOptions& options)
    : what_(std::move(what)),
      total_(total),
      options_(options),
      has_bar_(can_show_bar(options.stream)),
      done_(options.done) {
  if (!has_bar_) return;
  log_above_ = std::make_shared<LogAbove>(*this);
  spdlog::default_logger()->sinks() = {log_above_};
  draw(time_left());
}

Progress::~Progress() { finish(); }

void Progress::update(int64_t done, std::string_view details) {
  done_ = done;
  details_ = details;
  const double wait = has_bar_ ? kSecondsBetweenDrawings : options_.plain_seconds;
  if (finished_ || wait <= 0 || seconds_since(shown_) < wait) return;
  if (has_bar_) {
    draw(time_left());
  } else {
    show(fmt::format("{}  {}  {}\n", counts(), details_, time_left()));
  }
  shown_ = Clock::now();
}

void Progress::message(std::string_view line) {
  erase();
  show(fmt::format("{}\n", line));
  draw(time_left());
}

void Progress::finish() {
  if (finished_) return;
  if (has_bar_) {
    spdlog::default_logger()->sinks() = log_above_->below();
    draw("in " + duration_text(seconds_since(start_)));
    show("\n");
  }
  finished_ = true;
}

std::string Progress::counts() const { return fmt::format("{} {}/{}", what_, done_, total_); }

// From the mean speed since the start, which evaluations and checkpoints are part of.
std::string Progress::time_left() const {
  if (done_ <= options_.done) return {};
  const double each = seconds_since(start_) / static_cast<double>(done_ - options_.done);
  return duration_text(each * static_cast<double>(std::max<int64_t>(total_ - done_, 0))) + " left";
}

// The bar takes the room that is left, and goes where that is too little; a line that would be
// wrapped is cut.
void Progress::draw(const std::string& time) {
  if (!has_bar_ || finished_) return;
  const double share = total_ > 0 ? static_cast<double>(done_) / static_cast<double>(total_) : 1.0;
  std::string line = counts();
  std::string after = fmt::format("{:3.0f}%", 100 * std::min(share, 1.0));
  if (!details_.empty()) after += "  " + details_;
  if (!time.empty()) after += "  " + time;
  // Nothing in the last column: terminals differ in where the cursor is then.
  const int room = std::max(terminal_width(options_.stream) - 1, 0);
  const int for_bar = room - static_cast<int>(line.size() + after.size()) - 2;
  if (for_bar >= kNarrowestBar) line += " " + bar(share, std::min(for_bar, kWidestBar));
  line += " " + after;
  line.resize(std::min(line.size(), static_cast<size_t>(room)));
  show("\r" + line + kEraseRest);
}

void Progress::erase() {
  if (has_bar_ && !finished_) show(std::string("\r") + kEraseRest);
}

// Work goes on where a terminal has gone, so errors are of no interest.
void Progress::show(const std::string& text) {
  std::fputs(text.c_str(), options_.stream);
  std::fflush(options_.stream);
}

}  // namespace cria
