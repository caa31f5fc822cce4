// What the kernels are launched with at the shapes of the 1.1B and 7B models and, as they are
// kernels of their own, at narrow rows and heads of 32 and 256: runs the op
// benchmarks once each on the emulator and prints, for each way to launch a kernel,
//
//   FILE ADDRESS THREADS SHARED
//
// the source that launches it, where the kernel lies in this program (machine_code.py looks up its
// name in the symbol table), threads of a block, and bytes of dynamic shared memory.
#include <iostream>
#include <mutex>
#include <set>
#include <tuple>

#include <fmt/format.h>

#include "benchmarks/ops/measure.h"
#include "kernels/emulator/launch.h"

extern "C" const char __executable_start;  // of the linker

namespace cria {

namespace {

class Silent : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>&) override {}
};

std::mutex mutex;
std::set<std::tuple<std::string, ptrdiff_t, unsigned, size_t>> launches;

}  // namespace

namespace emulated {

// The linker sends calls of run_grid here (--wrap), and calls of real_run_grid to run_grid.
using Body = void (*)(const void*);
void real_run_grid(const Grid&, dim3, size_t, const void* kernel, Body,
                   const void*) __asm__("__real_" CRIA_RUN_GRID);
void observed_run_grid(const Grid&, dim3, size_t, const void* kernel, Body,
                       const void*) __asm__("__wrap_" CRIA_RUN_GRID);

void observed_run_grid(const Grid& grid, dim3 block, size_t shared_bytes, const void* kernel,
                       Body body, const void* arguments) {
  {
    const std::lock_guard lock(mutex);
    launches.emplace(grid.where.file_name(), static_cast<const char*>(kernel) - &__executable_start,
                     block.x * block.y * block.z, shared_bytes);
  }
  real_run_grid(grid, block, shared_bytes, kernel, body, arguments);
}

}  // namespace emulated

}  // namespace cria

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  cria::device = "emulated";
  // Few rows: what a kernel is launched with follows from the sizes of a row.
  cria::sequence_count = 1;
  cria::sequence_length = 64;
  cria::vocab_size = 8192;
  cria::element_count = 4096;
  cria::decoding_rows = 2;
  cria::decoding_context = 256;
  for (int64_t dtype : {0, 1}) {
    cria::Shapes shapes = cria::kLlamaShapes;
    shapes.dtypes = {dtype};
    shapes.hidden.push_back(512);
    for (const int64_t size : {32, 256}) shapes.heads.push_back({1, 1, size});
    cria::add_memory_benchmarks(shapes);
    cria::add_product_benchmarks(shapes);
    cria::add_generation_benchmarks(shapes);
  }
  cria::Silent silent;
  benchmark::RunSpecifiedBenchmarks(&silent);
  for (const auto& [file, kernel, threads, shared] : cria::launches) {
    std::cout << fmt::format("{} {:x} {} {}\n", file, kernel, threads, shared);
  }
}
