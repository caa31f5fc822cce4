// A benchmark that takes turns: it does one round of work for each line on stdin and answers with
// one line of JSON, so that compare.py can let it and a peer run alternately on the same cores,
// neither of them ever measured while the other works.
//   -> {"name": "cria fp32", "work": 2048, "flop": 0}
//                                              once, when it is ready; work in tokens a round, and
//                                              its model FLOP where they are counted
//   <- (any line)
//   -> {"seconds": 1.234}
//   <- (end of input)
//   -> {"peak_bytes": 123456789}               the most memory that the process ever held, on the
//                                              device where that is a GPU
#pragma once

#include <chrono>
#include <cstdio>
#include <fstream>
#include <functional>
#include <iostream>
#include <string>

#include <fmt/format.h>

#include "cria/ops/backend.h"

namespace cria {

inline int64_t peak_resident_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::stoll(line.substr(6)) * 1024;
  }
  return 0;
}

// What a program has taken of the memory of its device since this was made.
class MemoryUse {
 public:
  explicit MemoryUse(Backend& backend)
      : backend_(backend), available_before_(backend.memory().available()) {}

  int64_t peak_bytes() const {
    if (backend_.device() != Device::cuda) return peak_resident_bytes();
    return static_cast<int64_t>(available_before_ - backend_.memory().available());
  }

 private:
  Backend& backend_;
  size_t available_before_;
};

struct Work {
  std::string name;
  int64_t items;    // of a round: tokens
  double flop = 0;  // model FLOP of a round; 0: not counted
};

inline void take_turns(const Work& work, const MemoryUse& memory,
                       const std::function<void()>& round) {
  fmt::print("{{\"name\": \"{}\", \"work\": {}, \"flop\": {:.0f}}}\n", work.name, work.items,
             work.flop);
  std::fflush(stdout);
  for (std::string line; std::getline(std::cin, line);) {
    const auto begin = std::chrono::steady_clock::now();
    round();
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    fmt::print("{{\"seconds\": {:.6f}}}\n", seconds.count());
    std::fflush(stdout);
  }
  fmt::print("{{\"peak_bytes\": {}}}\n", memory.peak_bytes());
}

}  // namespace cria
