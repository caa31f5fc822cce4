// What the kernels are launched with at the shapes of the 1.1B and 7B models and, as they are
// kernels of their own, at narrow rows and heads of 32 and 256: runs the op benchmarks once each on
// the emulator and prints, for each way to launch a kernel,
//
//   FILE ADDRESS THREADS SHARED
//
// the source that launches it, where the kernel lies in this program (machine_code.py looks up its
// name in the symbol table), threads of a block, and bytes of dynamic shared memory.
#include <iostream>
#include <set>
#include <tuple>

#include <fmt/format.h>

#include "benchmarks/ops/measure.h"
#include "kernels/emulator/block.h"
#include "kernels/emulator/observer.h"

extern "C" const char __executable_start;  // of the linker

namespace cria {

namespace {

class Silent : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>&) override {}
};

// Notes every launch, and nothing of what the kernel does.
class Launches : public emulated::Observer {
 public:
  void launch_begins(const emulated::Launch& launch) override {
    const emulated::dim3& block = launch.block;
    found.emplace(launch.where.file_name(),
                  static_cast<const char*>(launch.kernel) - &__executable_start,
                  block.x * block.y * block.z, launch.shared_bytes);
  }
  void block_begins(const emulated::Block&) override {}
  void static_shared(const void*, size_t) override {}
  void access(emulated::Access, const void*, size_t, const void*) override {}
  void warp_meets(int) override {}
  void block_ends() override {}
  void launch_ends() override {}

  std::set<std::tuple<std::string, ptrdiff_t, unsigned, size_t>> found;
};

}  // namespace

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
  cria::Launches launches;
  cria::emulated::observer = &launches;
  cria::Silent silent;
  benchmark::RunSpecifiedBenchmarks(&silent);
  cria::emulated::observer = nullptr;
  for (const auto& [file, kernel, threads, shared] : launches.found) {
    std::cout << fmt::format("{} {:x} {} {}\n", file, kernel, threads, shared);
  }
}
