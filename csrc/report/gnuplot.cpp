#include "gnuplot.h"

#include "cria/core/child_process.h"
#include "cria/core/error.h"

namespace cria {

std::string gnuplot_quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'')
      out += "''";
    else
      out += c == '\n' ? ' ' : c;
  }
  return out + "'";
}

std::string svg_terminal(int width, int height, int font_size) {
  return fmt::format(
      "set terminal svg size {},{} noenhanced font 'sans-serif,{}' background rgb '#ffffff'\n"
      "set encoding utf8\n",
      width, height, font_size);
}

std::string run_gnuplot(const std::string& script) {
  // -d: no start-up files, so that the plot is the same for everyone.
  const ChildResult drawn =
      run_child({"gnuplot", "-d"}, {.input = script, .remedy = "apt-get install gnuplot-nox"});
  if (drawn.exit_code != 0 || drawn.output.find("</svg>") == std::string::npos) {
    std::string said = drawn.errors;
    for (char& c : said) {
      if (c == '\n') c = ' ';
    }
    throw failure("gnuplot", fmt::format("exit code {}: {}", drawn.exit_code, said));
  }
  return drawn.output;
}

}  // namespace cria
