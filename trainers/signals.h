// SIGINT and SIGTERM ask a run to finish its step, save and exit. A second SIGINT ends it at once.
#pragma once

namespace cria {

// From now on the two signals are noted instead of ending the process.
void install_stop_signals();

// The signal that came, or 0.
int stop_signal();

}  // namespace cria
