// Another program, run to its end: what it is given to read is written beforehand, and what it
// prints is read afterwards, through files in memory, so that neither waits for the other.
#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace cria {

struct ChildOptions {
  std::string input;                     // its standard input
  bool capture_errors = true;            // false: its messages go where cria's go
  std::chrono::milliseconds timeout{0};  // 0: however long it takes
  std::string remedy;                    // where the program is not there: what to do
};

struct ChildResult {
  int exit_code = 0;       // 128 + the signal where one ended it
  bool timed_out = false;  // it was killed, with all the processes that it had started
  std::string output;
  std::string errors;
};

// Finds the program by PATH. A failure when it cannot be started.
ChildResult run_child(std::vector<std::string> words, const ChildOptions& options);

}  // namespace cria
