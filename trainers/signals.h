// SIGINT, SIGTERM and SIGUSR1 ask a run to finish its step, save and exit. A second SIGINT ends it
// at once. SIGUSR1 is for launchers: mpirun passes it on as it is, while on SIGTERM it starts to
// kill the ranks, and batch systems can send it some time before the end (Slurm:
// --signal=USR1@300).
#pragma once

#include "cria/dist/communicator.h"

namespace cria {

// From now on `handler` runs when the main thread gets `signal`, on a stack of its own: in products
// whose inner dimension is long, oneDNN's fp32 kernels point the stack pointer into the heap (the
// workspace of jit_avx512_common_gemm_f32.cpp), where a handler's frame would overwrite what lies
// before it. To be called by the main thread, which does the work that signals interrupt.
void handle_signal(int signal, void (*handler)(int));

// From now on these signals are noted instead of ending the process.
void install_stop_signals();

// The signal that came, or 0.
int stop_signal();

// The same on all ranks: a signal that any of them got. Collective.
int agreed_stop_signal(Communicator& communicator);

}  // namespace cria
