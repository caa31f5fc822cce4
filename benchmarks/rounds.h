// A benchmark that takes turns: it does one round of work for each line on stdin and answers with
// one line of JSON, so that compare.py can let it and a peer run alternately on the same cores,
// neither of them ever measured while the other works.
//   -> {"name": "cria fp32", "work": 2048}     once, when it is ready; work in tokens a round
//   <- (any line)
//   -> {"seconds": 1.234}
//   <- (end of input)
//   -> {"peak_bytes": 123456789}               the most memory that the process ever held
#pragma once

#include <chrono>
#include <cstdio>
#include <fstream>
#include <functional>
#include <iostream>
#include <string>

#include <fmt/format.h>

namespace cria {

inline int64_t peak_resident_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::stoll(line.substr(6)) * 1024;
  }
  return 0;
}

inline void take_turns(const std::string& name, int64_t work, const std::function<void()>& round) {
  fmt::print("{{\"name\": \"{}\", \"work\": {}}}\n", name, work);
  std::fflush(stdout);
  for (std::string line; std::getline(std::cin, line);) {
    const auto begin = std::chrono::steady_clock::now();
    round();
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    fmt::print("{{\"seconds\": {:.6f}}}\n", seconds.count());
    std::fflush(stdout);
  }
  fmt::print("{{\"peak_bytes\": {}}}\n", peak_resident_bytes());
}

}  // namespace cria
