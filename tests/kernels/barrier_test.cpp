// Threads of a block: their order, barriers, early return, and what the emulator refuses.
#include <atomic>
#include <numeric>

#include <omp.h>

#include "kernels/emulator_test.h"

namespace cria::emulated {

namespace {

using cria::testing::contains;
using cria::testing::error_of;
using cria::testing::in_every_order;
using cria::testing::WithThreadOrder;
using Kind = ThreadOrder::Kind;

__global__ void indices(int* counts, int* next) {
  const unsigned threads = blockDim.x * blockDim.y * blockDim.z;
  const unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  const unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  atomicAdd(&counts[block * threads + thread], 1);
  atomicAdd(next, 1);
}

TEST(Grid, EveryThreadOfEveryBlockRunsOnce) {
  in_every_order([] {
    for (const dim3 block : {dim3(1), dim3(33), dim3(8, 4, 2), dim3(1024)}) {
      for (const dim3 grid : {dim3(1), dim3(7), dim3(3, 2, 5)}) {
        const unsigned all = grid.x * grid.y * grid.z * block.x * block.y * block.z;
        std::vector<int> counts(all);
        int total = 0;
        launch(indices, grid, block, 0, Stream{}, counts.data(), &total);
        EXPECT_EQ(counts, std::vector<int>(all, 1));
        EXPECT_EQ(total, static_cast<int>(all));
      }
    }
  });
}

__global__ void nothing() {}

TEST(Grid, LimitsAreCudas) {
  const auto run = [](dim3 grid, dim3 block, size_t shared = 0) {
    return error_of([=] { launch(nothing, grid, block, shared, Stream{}); });
  };
  EXPECT_EQ(run(dim3(2), dim3(1024)), "");
  EXPECT_EQ(run(dim3(1, 65535, 1), dim3(1)), "");
  EXPECT_EQ(run(dim3(1), dim3(32), 227 * 1024), "");
  EXPECT_TRUE(contains(run(dim3(0), dim3(1)), {"a grid of 0 x 1 x 1 blocks"}));
  EXPECT_TRUE(contains(run(dim3(1, 65536), dim3(1)), {"a grid of 1 x 65536 x 1 blocks"}));
  EXPECT_TRUE(contains(run(dim3(1, 1, 65536), dim3(1)), {"a grid of"}));
  EXPECT_TRUE(contains(run(dim3(1u << 31), dim3(1)), {"a grid of"}));
  EXPECT_TRUE(contains(run(dim3(1), dim3(0)), {"a block of 0 x 1 x 1 threads"}));
  EXPECT_TRUE(contains(run(dim3(1), dim3(1025)), {"a block of 1025 x 1 x 1 threads"}));
  EXPECT_TRUE(contains(run(dim3(1), dim3(32, 33)), {"a block of"}));
  EXPECT_TRUE(contains(run(dim3(1), dim3(1, 1, 65)), {"a block of"}));
  EXPECT_TRUE(contains(run(dim3(1), dim3(32), 227 * 1024 + 1),
                       {"232449 bytes of shared memory; a block has at most 232448",
                        "kernel launched in TestBody", "tests/kernels/barrier_test.cpp:"}));
}

// The order in which threads run before they first wait, and after.
__global__ void record_order(int* before, int* after, int* counter) {
  const auto thread = static_cast<int>(threadIdx.x);
  before[atomicAdd(&counter[0], 1)] = thread;
  __syncthreads();
  after[atomicAdd(&counter[1], 1)] = thread;
}

std::vector<std::vector<int>> recorded_order(ThreadOrder order, int threads) {
  const WithThreadOrder in_force(order);
  std::vector<int> before(threads), after(threads), counter(2);
  launch(record_order, 1, static_cast<unsigned>(threads), 0, Stream{}, before.data(), after.data(),
         counter.data());
  return {before, after};
}

TEST(ThreadOrder, ForwardReverseAndShuffledBeforeAndAfterABarrier) {
  constexpr int kThreads = 70;
  std::vector<int> forward(kThreads);
  std::iota(forward.begin(), forward.end(), 0);
  const std::vector<int> reverse(forward.rbegin(), forward.rend());
  EXPECT_EQ(recorded_order({Kind::forward}, kThreads), (std::vector{forward, forward}));
  EXPECT_EQ(recorded_order({Kind::reverse}, kThreads), (std::vector{reverse, reverse}));

  const auto shuffled = recorded_order({Kind::shuffled, 5}, kThreads);
  EXPECT_EQ(recorded_order({Kind::shuffled, 5}, kThreads), shuffled);
  EXPECT_NE(recorded_order({Kind::shuffled, 6}, kThreads), shuffled);
  EXPECT_NE(shuffled[0], shuffled[1]);
  for (std::vector<int> order : shuffled) {
    EXPECT_NE(order, forward);
    std::sort(order.begin(), order.end());
    EXPECT_EQ(order, forward);
  }
}

__global__ void record_blocks(int* order, int* counter) {
  order[atomicAdd(counter, 1)] = static_cast<int>(blockIdx.x);
}

TEST(ThreadOrder, BlocksFollowIt) {
  constexpr int kBlocks = 24;
  const auto run = [](ThreadOrder order) {
    const WithThreadOrder in_force(order);
    const int threads = omp_get_max_threads();
    omp_set_num_threads(1);
    std::vector<int> blocks(kBlocks);
    int counter = 0;
    launch(record_blocks, kBlocks, 1, 0, Stream{}, blocks.data(), &counter);
    omp_set_num_threads(threads);
    return blocks;
  };
  std::vector<int> forward(kBlocks);
  std::iota(forward.begin(), forward.end(), 0);
  EXPECT_EQ(run({Kind::forward}), forward);
  EXPECT_EQ(run({Kind::reverse}), std::vector<int>(forward.rbegin(), forward.rend()));
  std::vector<int> shuffled = run({Kind::shuffled, 3});
  EXPECT_NE(shuffled, forward);
  std::sort(shuffled.begin(), shuffled.end());
  EXPECT_EQ(shuffled, forward);
}

TEST(ThreadOrder, ReadFromText) {
  EXPECT_EQ(parse_thread_order("forward"), (ThreadOrder{Kind::forward}));
  EXPECT_EQ(parse_thread_order("reverse"), (ThreadOrder{Kind::reverse}));
  EXPECT_EQ(parse_thread_order("shuffled:17"), (ThreadOrder{Kind::shuffled, 17}));
  for (const char* wrong : {"", "backward", "shuffled", "shuffled:", "shuffled:x", "shuffled:1x"}) {
    EXPECT_TRUE(contains(error_of([=] { parse_thread_order(wrong); }),
                         {"CRIA_EMULATOR_ORDER", "one of forward, reverse, shuffled:SEED"}));
  }
}

// Each thread passes a value to its neighbour, many times over.
template <bool kFirstBarrier, bool kSecondBarrier>
__global__ void rotate(int* values, int rounds) {
  __shared__ SharedArray<int, 96> slots;
  const auto thread = static_cast<int>(threadIdx.x);
  int value = values[thread];
  for (int round = 0; round < rounds; ++round) {
    slots[thread] = value;
    if (kFirstBarrier) __syncthreads();
    value = slots[(thread + 1) % slots.size()];
    if (kSecondBarrier) __syncthreads();
  }
  values[thread] = value;
}

template <bool kFirstBarrier, bool kSecondBarrier>
std::vector<int> rotated() {
  std::vector<int> values(96);
  std::iota(values.begin(), values.end(), 0);
  launch(rotate<kFirstBarrier, kSecondBarrier>, 1, 96, 0, Stream{}, values.data(), 5);
  return values;
}

TEST(Barrier, AllThreadsComeBeforeOneGoesOn) {
  std::vector<int> expected(96);
  for (int i = 0; i < 96; ++i) expected[i] = (i + 5) % 96;
  in_every_order([&] { EXPECT_EQ((rotated<true, true>()), expected); });
}

TEST(Barrier, ADroppedOneShowsInSomeOrder) {
  const auto results = [](auto kernel) {
    std::vector<std::vector<int>> all;
    in_every_order([&] { all.push_back(kernel()); });
    return all;
  };
  const auto right = rotated<true, true>();
  const auto shows = [&](const std::vector<std::vector<int>>& all) {
    return std::any_of(all.begin(), all.end(), [&](const auto& r) { return r != right; });
  };
  EXPECT_TRUE(shows(results(rotated<false, true>)));
  EXPECT_TRUE(shows(results(rotated<true, false>)));
}

__global__ void count_predicates(int* results, int threshold) {
  const auto thread = static_cast<int>(threadIdx.x);
  int* mine = results + 3 * thread;
  mine[0] = __syncthreads_or(thread == threshold);
  mine[1] = __syncthreads_and(thread < threshold);
  mine[2] = __syncthreads_count(thread < threshold);
}

TEST(Barrier, PredicatesAreCounted) {
  in_every_order([] {
    for (const int threshold : {0, 13, 49, 50}) {
      std::vector<int> results(150), expected;
      launch(count_predicates, 1, 50, 0, Stream{}, results.data(), threshold);
      for (int i = 0; i < 50; ++i) {
        expected.insert(expected.end(), {threshold < 50, threshold == 50, threshold});
      }
      EXPECT_EQ(results, expected);
    }
  });
}

// The threads from `stay` on return at once; the others meet at two barriers.
__global__ void early_return(int* sum, int stay) {
  __shared__ SharedArray<int, 1> total;
  if (static_cast<int>(threadIdx.x) >= stay) return;
  if (threadIdx.x == 0) total[0] = 0;
  __syncthreads();
  atomicAdd(&total[0], 1);
  __syncthreads();
  if (threadIdx.x == 0) *sum = total[0];
}

// Half of the threads return while the others wait.
__global__ void return_between_barriers(int* sum) {
  __shared__ SharedArray<int, 64> values;
  const auto thread = static_cast<int>(threadIdx.x);
  values[thread] = 1;
  __syncthreads();
  if (thread >= 32) return;
  values[thread] += values[thread + 32];
  __syncthreads();
  if (thread == 0) {
    *sum = 0;
    for (int i = 0; i < 32; ++i) *sum += values[i];
  }
}

TEST(Barrier, ThreadsThatReturnedDoNotCount) {
  in_every_order([] {
    for (const int stay : {1, 31, 32, 33, 100}) {
      int sum = -1;
      launch(early_return, 1, 100, 0, Stream{}, &sum, stay);
      EXPECT_EQ(sum, stay);
    }
    int sum = -1;
    launch(return_between_barriers, 1, 64, 0, Stream{}, &sum);
    EXPECT_EQ(sum, 64);
  });
}

constexpr int kLineOfFirstBarrier = __LINE__ + 4;
constexpr int kLineOfSecondBarrier = __LINE__ + 5;
__global__ void divergent() {
  if (threadIdx.x < 16) {
    __syncthreads();
  } else {
    __syncthreads();
  }
}
constexpr int kLineOfDivergentLaunch = __LINE__ + 2;
std::string error_of_divergent() {
  return error_of([] { launch(divergent, dim3(3, 2), 64, 0, Stream{}); });
}

TEST(Barrier, DivergenceIsAnErrorThatNamesBothLines) {
  in_every_order([] {
    const std::string message = error_of_divergent();
    EXPECT_TRUE(contains(
        message,
        {"kernel launched in ", fmt::format("barrier_test.cpp:{}: block (", kLineOfDivergentLaunch),
         "thread (", "came to __syncthreads in divergent",
         fmt::format("barrier_test.cpp:{}", kLineOfFirstBarrier),
         fmt::format("barrier_test.cpp:{}", kLineOfSecondBarrier)}));
  });
  const WithThreadOrder in_force({Kind::forward});
  EXPECT_TRUE(
      contains(error_of_divergent(), {"thread (16,0,0) came", "while thread (0,0,0) waits"}));
}

__global__ void barrier_beside_warp_operation(int* out) {
  if (threadIdx.x == 5) {
    __syncthreads();
  } else {
    out[threadIdx.x] = __shfl_xor_sync(0xffffffffu, 1, 1);
  }
}

TEST(Barrier, AThreadThatWaitsThereIsMissedInAWarpOperation) {
  in_every_order([] {
    std::vector<int> out(32);
    const std::string message =
        error_of([&] { launch(barrier_beside_warp_operation, 1, 32, 0, Stream{}, out.data()); });
    EXPECT_TRUE(
        contains(message, {"waits for ever in __shfl_xor_sync in "
                           "barrier_beside_warp_operation at tests/kernels/barrier_test.cpp",
                           "0xffffffff", "lane 5, thread (5,0,0), waits in __syncthreads"}));
  });
}

__global__ void throws(int thread) {
  __syncthreads();
  CRIA_ASSERT(static_cast<int>(threadIdx.x) != thread);
  __syncthreads();
}

// Threads that waited are unwound: the emulator is as good as new.
TEST(Launch, WhatAKernelThrowsReachesTheCaller) {
  in_every_order([] {
    const std::string message = error_of([] { launch(throws, 4, 40, 0, Stream{}, 33); });
    EXPECT_TRUE(contains(message, {"kernel launched", "thread (33,0,0) failed",
                                   "static_cast<int>(threadIdx.x) != thread"}));
    EXPECT_EQ(error_of([] { launch(throws, 4, 40, 0, Stream{}, 40); }), "");
  });
}

struct Counted {
  explicit Counted(std::atomic<int>& live) : live_(live) { ++live_; }
  ~Counted() { --live_; }
  std::atomic<int>& live_;
};

__global__ void holds_objects(std::atomic<int>* live) {
  const Counted object(*live);
  __syncthreads();
  CRIA_ASSERT(threadIdx.x != 7);
  __syncthreads();
}

TEST(Launch, ThreadsThatWaitAreUnwoundAfterAnError) {
  std::atomic<int> live = 0;
  EXPECT_NE(error_of([&] { launch(holds_objects, 2, 64, 0, Stream{}, &live); }), "");
  EXPECT_EQ(live, 0);
}

TEST(Launch, DeviceFunctionsOutsideOfAKernelAreRefused) {
  EXPECT_TRUE(contains(error_of([] { __syncthreads(); }), {"outside of a kernel"}));
}

__global__ void deep(int* result, int depth) {
  // A frame of 64 KiB: as much stack as a kernel may want.
  volatile char frame[64 * 1024];
  frame[0] = 1;
  frame[sizeof frame - 1] = static_cast<char>(depth);
  __syncthreads();
  atomicAdd(result, frame[0] + frame[sizeof frame - 1]);
}

TEST(Launch, ThreadsHaveStacksOfTheirOwn) {
  int result = 0;
  launch(deep, 2, 64, 0, Stream{}, &result, 2);
  EXPECT_EQ(result, 2 * 64 * 3);
}

}  // namespace

}  // namespace cria::emulated
