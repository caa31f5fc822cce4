// SIGINT, SIGTERM and SIGUSR1 ask a run to finish its step, save and exit. A second SIGINT ends it
// at once. SIGUSR1 is for launchers: mpirun passes it on as it is, while on SIGTERM it starts to
// kill the ranks, and batch systems can send it some time before the end (Slurm:
// --signal=USR1@300).
#pragma once

#include "cria/dist/communicator.h"

namespace cria {

// From now on these signals are noted instead of ending the process.
void install_stop_signals();

// The signal that came, or 0.
int stop_signal();

// The same on all ranks: a signal that any of them got. Collective.
int agreed_stop_signal(Communicator& communicator);

}  // namespace cria
