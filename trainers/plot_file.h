// A plot beside its data.
#pragma once

#include <string>

#include "cria/report/plot.h"

namespace cria {

// A machine without gnuplot has the data all the same: what cannot be drawn is left out, and said.
void write_plot_if_possible(const std::string& path, const Plot& plot);

}  // namespace cria
