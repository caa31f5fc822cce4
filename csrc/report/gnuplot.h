// What every picture by gnuplot has in common.
#pragma once

#include <string>
#include <string_view>

#include "cria/report/plot.h"

namespace cria {

// In single quotes gnuplot takes everything as it is; a quote is written twice.
std::string gnuplot_quoted(std::string_view text);

// The SVG terminal of so many pixels, with a ground of its own and UTF-8 texts. Texts and lines
// need colours of their own too: without, some are black and others the page's current colour.
std::string svg_terminal(int width, int height, int font_size = 14);

// What gnuplot draws. A failure when it is not installed says which package to install; one when it
// refuses the script says why.
std::string run_gnuplot(const std::string& script);

}  // namespace cria
