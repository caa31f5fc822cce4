#include "trainers/signals.h"

#include <csignal>

namespace cria {

namespace {

volatile std::sig_atomic_t received = 0;

void note(int signal) {
  if (received == SIGINT && signal == SIGINT) {
    std::signal(SIGINT, SIG_DFL);
    std::raise(SIGINT);
  }
  received = signal;
}

}  // namespace

void install_stop_signals() {
  struct sigaction action = {};
  action.sa_handler = note;
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGUSR1, &action, nullptr);
}

int stop_signal() { return received; }

int agreed_stop_signal(Communicator& communicator) {
  double signals[] = {static_cast<double>(stop_signal())};
  communicator.all_reduce_sum(std::span<double>(signals));
  if (!(signals[0] > 0)) return 0;
  return stop_signal() != 0 ? stop_signal() : SIGTERM;
}

}  // namespace cria
