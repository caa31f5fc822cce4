// A report's table of runs: for its page, and for the terminal.
#pragma once

#include "trainers/report/page.h"
#include "trainers/report/run_files.h"

namespace cria {

// A line for each run: steps, tokens, its last loss, held-out perplexity, and what it is about.
Table run_table(const RunFiles& files);

}  // namespace cria
