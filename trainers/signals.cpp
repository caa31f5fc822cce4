#include "trainers/signals.h"

#include <array>
#include <csignal>

#include "cria/core/error.h"

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

// Leaves one that is there already, as sanitizers make.
void give_handlers_a_stack() {
  static std::array<char, 1 << 16> memory;  // a frame with AMX's tiles takes 11 KiB
  stack_t stack = {};
  sigaltstack(nullptr, &stack);
  if ((stack.ss_flags & SS_DISABLE) == 0) return;
  stack = {.ss_sp = memory.data(), .ss_flags = 0, .ss_size = memory.size()};
  if (sigaltstack(&stack, nullptr) != 0) {
    throw system_failure("signals", "cannot give their handlers a stack");
  }
}

}  // namespace

void handle_signal(int signal, void (*handler)(int)) {
  give_handlers_a_stack();
  struct sigaction action = {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART | SA_ONSTACK;
  sigaction(signal, &action, nullptr);
}

void install_stop_signals() {
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1}) handle_signal(signal, note);
}

int stop_signal() { return received; }

int agreed_stop_signal(Communicator& communicator) {
  double signals[] = {static_cast<double>(stop_signal())};
  communicator.all_reduce_sum(std::span<double>(signals));
  if (!(signals[0] > 0)) return 0;
  return stop_signal() != 0 ? stop_signal() : SIGTERM;
}

}  // namespace cria
