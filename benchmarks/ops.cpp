// The ops, at the shapes of the 15m and 110m models or, with `--shapes=llama`, of the 1.1B and 7B
// ones; batch 8 x 256 (`--sequences=` and `--length=` for another). GFLOP/s of products and
// attention, GB/s of what only moves memory, and shares of the copy's and the fastest product's
// rate. `--benchmark_filter=` picks some, `--device=` names the backend. With `--turns` it takes
// turns with a peer: for each name of a benchmark on stdin it runs that one and answers with a line
// of JSON, as rounds.h does for whole programs.
#include <algorithm>
#include <iostream>
#include <map>

#include <fmt/format.h>

#include "ops/measure.h"

namespace cria {

namespace {

// Prints each rate with its share of what the device can do, as far as that was measured before.
class Shares : public benchmark::ConsoleReporter {
 public:
  Shares() : ConsoleReporter(OO_Tabular) {}

  void ReportRuns(const std::vector<Run>& runs) override {
    std::vector<Run> with_shares = runs;
    for (Run& run : with_shares) {
      if (run.counters.empty()) continue;
      const auto [unit, counter] = *run.counters.begin();
      const std::string name = run.run_name.function_name + "/";
      // The fastest product of a dtype, which is the last argument.
      double& best = best_[unit == "GB/s" ? unit : unit + run.run_name.args.back()];
      if (name == "copy/" || name == "linear/") best = std::max(best, double{counter.value});
      run.counters["share"] = benchmark::Counter(best > 0 ? counter.value / best : 0);
    }
    ConsoleReporter::ReportRuns(with_shares);
  }

 private:
  std::map<std::string, double> best_;
};

// Keeps what a turn measured instead of printing it.
class Turn : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) {
      seconds = run.real_accumulated_time / static_cast<double>(run.iterations);
      for (const auto& [name, counter] : run.counters) {
        unit = name;
        rate = counter.value;
      }
    }
  }

  double seconds = 0;
  std::string unit;
  double rate = 0;
};

void take_turns() {
  for (std::string name; std::getline(std::cin, name);) {
    Turn turn;
    benchmark::RunSpecifiedBenchmarks(&turn, "^" + name + "$");
    fmt::print("{{\"seconds\": {:.9f}, \"rate\": {:.3f}, \"unit\": \"{}\"}}\n", turn.seconds,
               turn.rate, turn.unit);
    std::fflush(stdout);
  }
}

}  // namespace

}  // namespace cria

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  bool turns = false;
  cria::Shapes shapes = cria::kSmallShapes;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const std::string value = argument.substr(argument.find('=') + 1);
    if (argument == "--turns") {
      turns = true;
    } else if (argument.starts_with("--device=")) {
      cria::device = value;
    } else if (argument.starts_with("--sequences=")) {
      cria::sequence_count = std::max(1, std::atoi(value.c_str()));
    } else if (argument.starts_with("--length=")) {
      cria::sequence_length = std::max(1, std::atoi(value.c_str()));
    } else if (argument == "--shapes=llama") {
      shapes = cria::kLlamaShapes;
    } else if (argument != "--shapes=small") {
      std::cerr << "error: " << argument
                << ": no such option; --device=, --shapes=small|llama, --sequences=, --length=, "
                   "--turns, or one of\n";
      benchmark::PrintDefaultHelp();
      return 2;
    }
  }
  cria::add_memory_benchmarks(shapes);
  cria::add_product_benchmarks(shapes);
  cria::add_generation_benchmarks(shapes);
  try {
    cria::backend();  // before anything is printed: there may be no such device here
    if (turns) {
      cria::take_turns();
    } else {
      cria::Shares shares;
      benchmark::RunSpecifiedBenchmarks(&shares);
    }
  } catch (const cria::Error& error) {
    std::cerr << "error: " << error.what() << '\n';
    return error.exit_code();
  }
}
