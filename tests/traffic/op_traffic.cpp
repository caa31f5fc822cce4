#include "traffic/op_traffic.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <map>

#include "kernels/runtime/make_backend.h"

namespace cria::testing {

using emulated::traffic::Counter;
using emulated::traffic::Global;
using emulated::traffic::Instruction;
using emulated::traffic::LaunchTraffic;
using emulated::traffic::Region;
using emulated::traffic::Shared;

namespace {

constexpr int64_t kSectorBytes = 32;

std::vector<OpTraffic>& counted_ops() {
  static std::vector<OpTraffic> ops;
  return ops;
}

// Sectors that loads of `cached` asked for, all and each once.
std::pair<int64_t, int64_t> cached_loads(const OpTraffic& traffic) {
  int64_t all = 0, once = 0;
  for (const LaunchTraffic& launch : traffic.launches) {
    for (const Region& region : launch.regions) {
      for (const Tensor& tensor : traffic.cached) {
        if (tensor.data != region.data) continue;
        all += region.loads.sectors;
        once += region.loads.distinct;
      }
    }
  }
  return {all, once};
}

// What each line asks of memory.
std::string lines_of(const OpTraffic& traffic) {
  struct Line {
    Global loads, stores;
    Shared shared;
  };
  std::vector<const Instruction*> instructions;
  std::vector<const void*> addresses;
  for (const LaunchTraffic& launch : traffic.launches) {
    for (const Instruction& instruction : launch.instructions) {
      instructions.push_back(&instruction);
      addresses.push_back(static_cast<const char*>(instruction.address) - 1);
    }
  }
  const auto sources = emulated::traffic::find_sources(addresses);
  std::map<std::string, Line> lines;
  for (size_t i = 0; i < sources.size(); ++i) {
    Line& line = lines[sources[i].place];
    const bool loads = instructions[i]->access == emulated::Access::load;
    (loads ? line.loads : line.stores) += instructions[i]->global;
    line.shared += instructions[i]->shared;
  }
  std::string text = "\n" + traffic.op + " " + traffic.sizes;
  const auto add = [&](const std::string& place, const char* what, const Global& global) {
    if (global.accesses == 0) return;
    text += fmt::format("\n  {}: {} {} bytes in {} of sectors, {} accesses", place, what,
                        global.bytes, kSectorBytes * global.sectors, global.accesses);
  };
  for (const auto& [place, line] : lines) {
    add(place, "loads", line.loads);
    add(place, "stores", line.stores);
    if (line.shared.accesses == 0) continue;
    text += fmt::format("\n  {}: {} accesses of shared memory, {} wavefronts, {} of them conflicts",
                        place, line.shared.accesses, line.shared.wavefronts, line.shared.conflicts);
  }
  return text;
}

double ratio(int64_t bytes, int64_t ideal) {
  return static_cast<double>(bytes) / static_cast<double>(ideal);
}

std::string kilobytes(int64_t bytes) {
  return fmt::format("{:.1f}", static_cast<double>(bytes) / 1000);
}

// Rows of an op and of its kernels.
std::string rows_of(const OpTraffic& op) {
  const auto conflicts = [](const Shared& shared) {
    if (shared.accesses == 0) return std::string(" | |");
    return fmt::format("{} | {} |", shared.wavefronts, shared.conflicts);
  };
  std::string text = fmt::format(
      "| **{}** {} | {} | **{:.2f}×** | **{:.2f}×** | {} | {}\n", op.op, op.sizes,
      kilobytes(op.ideal_bytes), ratio(op.moved_bytes(), op.ideal_bytes),
      ratio(op.asked_bytes(), op.ideal_bytes),
      op.cached_bytes() == 0 ? std::string()
                             : fmt::format("{:.2f}×", ratio(op.cached_bytes(), op.ideal_bytes)),
      conflicts(op.shared()));
  std::vector<const void*> kernels;
  for (const LaunchTraffic& launch : op.launches) kernels.push_back(launch.kernel);
  const auto sources = emulated::traffic::find_sources(kernels);
  for (size_t i = 0; i < op.launches.size(); ++i) {
    const LaunchTraffic& launch = op.launches[i];
    const Global loads = launch.loads(), stores = launch.stores();
    text += fmt::format("| `{}` | | {} | {} | | {}\n", sources[i].function,
                        kilobytes(kSectorBytes * (loads.distinct + stores.distinct)),
                        kilobytes(kSectorBytes * (loads.sectors + stores.sectors)),
                        conflicts(launch.shared()));
  }
  return text;
}

constexpr const char* kIntroduction = R"(# What each kernel asks of memory

    make traffic        # writes this page

Counted by the emulator on a CPU, not measured on a GPU: [tuning_kernels.md](tuning_kernels.md) says how, what the
figures mean and where they are a model. `test_traffic` holds what every op moves to at most 1.1 of its ideal, what it
asks of L2 too (but for sampling and attention_maxima), and shared memory to no bank conflict.

- **ideal**: every input read once, every output written once, what is updated both; in thousands of bytes. What an op
  does in several kernels or through scratch space by design counts for each: attention's gradients (D, keys and values,
  queries), the language head (rows and logits around the products), sampling (its weights written and read).
- **DRAM**: the 32-byte sectors that each launch touches, once: what must come from or go to DRAM at least, by the ideal.
- **asked of L2**: the sectors that the warps ask for, by the ideal; of small tensors that many blocks read (weights of a
  norm, tables, ids) and of tiles that blocks share, the first time. **again** is what they ask for after it, which the
  caches serve.
- **wavefronts** of shared memory, and how many of them are bank conflicts.

Below each op its kernels, DRAM and what is asked of L2 (all of it) in thousands of bytes.

| op, sizes | ideal | DRAM | asked of L2 | again | wavefronts | conflicts |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |
)";

// Writes the page once all tests have run.
class Page : public ::testing::Environment {
 public:
  void TearDown() override {
    const char* path = std::getenv("CRIA_TRAFFIC_PAGE");
    if (!path) return;
    std::vector<OpTraffic>& ops = counted_ops();
    std::stable_sort(ops.begin(), ops.end(),
                     [](const OpTraffic& a, const OpTraffic& b) { return a.op < b.op; });
    std::ofstream file(path);
    file << kIntroduction;
    for (const OpTraffic& op : ops) file << rows_of(op);
    if (!file.flush()) throw system_failure(path, "cannot be written");
  }
};
const ::testing::Environment* const page = ::testing::AddGlobalTestEnvironment(new Page);

}  // namespace

Backend& backend() {
  static const std::unique_ptr<Backend> instance = emulated::make_backend();
  return *instance;
}

int64_t OpTraffic::moved_bytes() const {
  int64_t sectors = 0;
  for (const LaunchTraffic& launch : launches) {
    sectors += launch.loads().distinct + launch.stores().distinct;
  }
  return kSectorBytes * sectors;
}

int64_t OpTraffic::asked_bytes() const {
  int64_t sectors = 0;
  for (const LaunchTraffic& launch : launches) {
    sectors += launch.loads().sectors + launch.stores().sectors;
  }
  return kSectorBytes * sectors - cached_bytes();
}

int64_t OpTraffic::cached_bytes() const {
  const auto [all, once] = cached_loads(*this);
  return kSectorBytes * (all - once);
}

Shared OpTraffic::shared() const {
  Shared sum;
  for (const LaunchTraffic& launch : launches) sum += launch.shared();
  return sum;
}

OpTraffic count_traffic(OpTraffic op, const std::function<void(Backend&)>& run) {
  Counter counter;
  run(backend());
  op.launches = counter.take();
  EXPECT_FALSE(op.launches.empty());
  counted_ops().push_back(op);
  if (std::getenv("CRIA_TRAFFIC_LINES")) std::cout << lines_of(op) << "\n";
  return op;
}

void expect_moves_once(const OpTraffic& traffic) {
  // An op that moved less than its ideal would have been counted wrongly, or its ideal.
  EXPECT_GE(ratio(traffic.moved_bytes(), traffic.ideal_bytes), 1.0) << lines_of(traffic);
  EXPECT_LE(ratio(traffic.moved_bytes(), traffic.ideal_bytes), kMostTraffic) << lines_of(traffic);
}

void expect_streams(const OpTraffic& traffic) {
  expect_moves_once(traffic);
  EXPECT_LE(ratio(traffic.asked_bytes(), traffic.ideal_bytes), kMostTraffic) << lines_of(traffic);
}

void expect_no_conflicts(const OpTraffic& traffic) {
  EXPECT_EQ(traffic.shared().conflicts, 0) << lines_of(traffic);
}

}  // namespace cria::testing
