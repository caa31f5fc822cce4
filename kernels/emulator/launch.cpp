#include "kernels/emulator/launch.h"

#include <mutex>
#include <numeric>

#include "cria/core/parallel.h"

#include "kernels/emulator/block.h"

namespace cria::emulated {

namespace {

void check_configuration(const Launch& launch) {
  const auto refuse = [&](const std::string& problem) {
    throw failure(fmt::format("kernel launched {}", describe(launch.where)), problem);
  };
  const dim3& grid = launch.grid;
  const dim3& block = launch.block;
  // CUDA C++ Programming Guide, "Technical Specifications per Compute Capability".
  if (grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.x > 0x7fffffffu || grid.y > 65535 ||
      grid.z > 65535) {
    refuse(fmt::format("a grid of {} x {} x {} blocks; from 1 to 2147483647 x 65535 x 65535",
                       grid.x, grid.y, grid.z));
  }
  const uint64_t threads = uint64_t{block.x} * block.y * block.z;
  if (threads == 0 || threads > Block::kMaxThreads || block.x > 1024 || block.y > 1024 ||
      block.z > 64) {
    refuse(fmt::format("a block of {} x {} x {} threads; from 1 to 1024, z up to 64", block.x,
                       block.y, block.z));
  }
  if (launch.shared_bytes > kMaxSharedBytes) {
    refuse(fmt::format("{} bytes of shared memory; a block has at most {}", launch.shared_bytes,
                       kMaxSharedBytes));
  }
}

uint64_t mix(uint64_t x) {  // splitmix64
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

// The blocks in the order of the threads: i -> the index of the i-th to run.
class BlockOrder {
 public:
  BlockOrder(ThreadOrder order, int64_t count) : count_(static_cast<uint64_t>(count)) {
    if (order.kind == ThreadOrder::Kind::reverse) {
      factor_ = offset_ = count_ - 1;  // count - 1 - i, modulo count
    } else if (order.kind == ThreadOrder::Kind::shuffled) {
      offset_ = mix(order.seed) % count_;
      factor_ = mix(order.seed + 1) % count_;
      while (std::gcd(factor_, count_) != 1) factor_ = (factor_ + 1) % count_;
    }
  }
  uint64_t operator()(int64_t i) const {
    __extension__ using Wide = unsigned __int128;
    return static_cast<uint64_t>((Wide{static_cast<uint64_t>(i)} * factor_ + offset_) % count_);
  }

 private:
  uint64_t count_;
  uint64_t factor_ = 1;
  uint64_t offset_ = 0;
};

}  // namespace

void run_grid(const Grid& grid, dim3 block, size_t shared_bytes, const void* kernel,
              void (*body)(const void*), const void* arguments) {
  const Launch launch{.grid = grid.size,
                      .block = block,
                      .shared_bytes = shared_bytes,
                      .where = grid.where,
                      .order = thread_order(),
                      .kernel = kernel,
                      .body = body,
                      .arguments = arguments};
  check_configuration(launch);
  const uint64_t row = launch.grid.x, plane = row * launch.grid.y;
  const auto count = static_cast<int64_t>(plane * launch.grid.z);
  const BlockOrder order(launch.order, count);
  if (observer) observer->launch_begins(launch);

  std::atomic<bool> failed = false;
  std::mutex mutex;
  std::exception_ptr first_error;
  const auto run_block = [&](int64_t i) {
    if (failed.load(std::memory_order_relaxed)) return;
    const uint64_t index = order(i);
    try {
      Block::of_host_thread().run(
          launch,
          {static_cast<unsigned>(index % row), static_cast<unsigned>(index / row % launch.grid.y),
           static_cast<unsigned>(index / plane)},
          mix(launch.order.seed ^ mix(index)));
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!first_error) first_error = std::current_exception();
      failed = true;
    }
  };
  if (count == 1) {
    run_block(0);
  } else {
    parallel_for_each(count, run_block);
  }
  if (observer) observer->launch_ends();
  if (first_error) std::rethrow_exception(first_error);
}

}  // namespace cria::emulated
