#include "cria/report/plot.h"

#include <array>
#include <cerrno>
#include <cmath>
#include <cstring>

#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cria/core/error.h"

extern char** environ;

namespace cria {

namespace {

// Okabe and Ito's colours, which people of all kinds of sight tell apart.
constexpr std::array<const char*, 7> kPalette = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                                 "#e69f00", "#56b4e9", "#000000"};
constexpr const char* kInk = "#333333";  // of all that is no curve

// Memory that another process reads and writes as a file.
class MemoryFile {
 public:
  MemoryFile() : descriptor_(memfd_create("gnuplot", MFD_CLOEXEC)) {
    if (descriptor_ < 0) throw system_failure("gnuplot", "cannot make a file in memory");
  }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  ~MemoryFile() { close(descriptor_); }

  int descriptor() const { return descriptor_; }

  void fill(const std::string& text) {
    for (size_t done = 0; done < text.size();) {
      const ssize_t written = ::write(descriptor_, text.data() + done, text.size() - done);
      if (written < 0) throw system_failure("gnuplot", "cannot write its script");
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
      if (got < 0) throw system_failure("gnuplot", "cannot read what it drew");
      if (got == 0) return text;
      text.append(piece.data(), static_cast<size_t>(got));
    }
  }

 private:
  int descriptor_;
};

// In single quotes gnuplot takes everything as it is; a quote is written twice.
std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'')
      out += "''";
    else
      out += c == '\n' ? ' ' : c;
  }
  return out + "'";
}

std::string script_for(const Plot& plot) {
  std::string script;
  for (size_t i = 0; i < plot.series.size(); ++i) {
    script += fmt::format("$series{} << END\n", i);
    for (const auto& [x, y] : plot.series[i].points) {
      if (std::isfinite(x) && std::isfinite(y)) script += fmt::format("{} {}\n", x, y);
    }
    script += "END\n";
  }
  // Without colours of their own some parts are black and others the page's current colour.
  script += fmt::format(
      "set terminal svg size 800,500 noenhanced font 'sans-serif,14' background rgb '#ffffff'\n"
      "set encoding utf8\n"
      "set border 3 linecolor rgb '{0}'\n"
      "set tics nomirror textcolor rgb '{0}'\n"
      "set grid linecolor rgb '#dddddd' linetype 1\n"
      "set key outside right textcolor rgb '{0}'\n"
      "set title {1} textcolor rgb '{0}'\n"
      "set xlabel {2} textcolor rgb '{0}'\n"
      "set ylabel {3} textcolor rgb '{0}'\n",
      kInk, quoted(plot.title), quoted(plot.x_title), quoted(plot.y_title));
  if (plot.logarithmic_x) script += "set logscale x 2\n";
  script += "plot ";
  for (size_t i = 0; i < plot.series.size(); ++i) {
    const PlotSeries& series = plot.series[i];
    script += fmt::format(
        "{}$series{} using 1:2 with linespoints linewidth 2 pointsize 0.4 "
        "pointtype 7 dashtype {} linecolor rgb '{}' title {}",
        i > 0 ? ", " : "", i, series.dashed ? 2 : 1,
        kPalette[static_cast<size_t>(series.colour) % kPalette.size()], quoted(series.label));
  }
  return script + "\n";
}

// gnuplot's exit code; its standard streams are the three files.
int run_gnuplot(const MemoryFile& input, const MemoryFile& output, const MemoryFile& errors) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, input.descriptor(), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, output.descriptor(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, errors.descriptor(), STDERR_FILENO);
  // No start-up files: the plot is the same for everyone.
  std::string words[] = {"gnuplot", "-d"};
  char* arguments[] = {words[0].data(), words[1].data(), nullptr};
  pid_t process = 0;
  const int refused = posix_spawnp(&process, "gnuplot", &actions, nullptr, arguments, environ);
  posix_spawn_file_actions_destroy(&actions);
  if (refused == ENOENT) {
    throw failure("gnuplot", "is not installed", "apt-get install gnuplot-nox");
  }
  if (refused != 0)
    throw failure("gnuplot", std::string("cannot start: ") + std::strerror(refused));
  int status = 0;
  while (waitpid(process, &status, 0) < 0) {
    if (errno != EINTR) throw system_failure("gnuplot", "cannot wait for it");
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

std::string render_svg(const Plot& plot) {
  bool has_points = false;
  for (const PlotSeries& series : plot.series) {
    for (const auto& [x, y] : series.points) has_points |= std::isfinite(x) && std::isfinite(y);
  }
  if (!has_points) throw failure("plot", fmt::format("'{}' has no points", plot.title));
  MemoryFile input, output, errors;
  input.fill(script_for(plot));
  const int exit_code = run_gnuplot(input, output, errors);
  std::string svg = output.contents();
  if (exit_code != 0 || svg.find("</svg>") == std::string::npos) {
    std::string said = errors.contents();
    for (char& c : said) {
      if (c == '\n') c = ' ';
    }
    throw failure("gnuplot", fmt::format("exit code {}: {}", exit_code, said));
  }
  return svg;
}

}  // namespace cria
