// Shuffles, votes, atomics, and the reductions of kernels/device/ that are made of them.
#include "kernels/device/warp.h"

#include <numeric>

#include "kernels/device/block.h"
#include "kernels/emulator_test.h"

namespace cria::emulated {

namespace {

using cria::testing::contains;
using cria::testing::error_of;
using cria::testing::in_every_order;

enum class Exchange { index, up, down, butterfly };

template <typename T>
__global__ void shuffle_kernel(T* values, Exchange kind, int argument, int width) {
  const T value = values[threadIdx.x];
  T result{};
  if (kind == Exchange::index) result = __shfl_sync(kFullWarp, value, argument, width);
  if (kind == Exchange::up) result = __shfl_up_sync(kFullWarp, value, argument, width);
  if (kind == Exchange::down) result = __shfl_down_sync(kFullWarp, value, argument, width);
  if (kind == Exchange::butterfly) result = __shfl_xor_sync(kFullWarp, value, argument, width);
  values[threadIdx.x] = result;
}

// PTX ISA, shfl.sync: the lane that is read.
int source_lane(Exchange kind, int lane, int argument, int width) {
  const int begin = lane / width * width, end = begin + width;
  switch (kind) {
    case Exchange::index:
      return begin + argument % width;
    case Exchange::up:
      return lane - argument >= begin ? lane - argument : lane;
    case Exchange::down:
      return lane + argument < end ? lane + argument : lane;
    case Exchange::butterfly:
      return (lane ^ argument) < end ? lane ^ argument : lane;
  }
  return -1;
}

template <typename T>
void check_shuffles() {
  for (const Exchange kind : {Exchange::index, Exchange::up, Exchange::down, Exchange::butterfly}) {
    for (const int width : {32, 16, 4}) {
      for (int argument = 0; argument < 32; ++argument) {
        std::vector<T> values(64), expected(64);
        for (int i = 0; i < 64; ++i) values[i] = static_cast<T>(1000 + 3 * i);
        for (int i = 0; i < 64; ++i) {
          expected[i] = values[i / 32 * 32 + source_lane(kind, i % 32, argument, width)];
        }
        launch(shuffle_kernel<T>, 1, 64, 0, Stream{}, values.data(), kind, argument, width);
        ASSERT_EQ(values, expected) << static_cast<int>(kind) << " " << argument << " " << width;
      }
    }
  }
}

TEST(Shuffle, EveryKindWidthAndType) {
  in_every_order([] {
    check_shuffles<int>();
    check_shuffles<float>();
    check_shuffles<double>();
    check_shuffles<unsigned long long>();
  });
}

TEST(Shuffle, BadWidthIsAnError) {
  std::vector<int> values(32);
  EXPECT_TRUE(contains(error_of([&] {
                         launch(shuffle_kernel<int>, 1, 32, 0, Stream{}, values.data(),
                                Exchange::index, 0, 12);
                       }),
                       {"a width of 12"}));
}

// The even and the odd lanes go different ways, with masks of their own and unlike many steps.
__global__ void partial_masks(int* out) {
  const int own = lane();
  int value = own;
  if (own % 2 == 0) {
    for (int offset = 2; offset < 32; offset *= 2) {
      value += __shfl_xor_sync(0x55555555u, value, offset);
    }
  } else {
    value += __shfl_xor_sync(0xaaaaaaaau, value, 2);
  }
  __syncwarp();
  out[threadIdx.x] = __shfl_sync(kFullWarp, value, own ^ 1);
}

TEST(Shuffle, PartsOfAWarpGoTheirOwnWays) {
  in_every_order([] {
    std::vector<int> out(64);
    launch(partial_masks, 1, 64, 0, Stream{}, out.data());
    for (int i = 0; i < 64; ++i) {
      const int from = (i % 32) ^ 1;
      EXPECT_EQ(out[i], from % 2 == 0 ? 240 : from + (from ^ 2)) << i;
    }
  });
}

__global__ void ballots(unsigned* out, unsigned mask) {
  if (!(mask >> lane() & 1u)) return;
  unsigned* mine = out + 4 * threadIdx.x;
  mine[0] = __ballot_sync(mask, lane() % 3 == 0);
  mine[1] = static_cast<unsigned>(__any_sync(mask, lane() == 9));
  mine[2] = static_cast<unsigned>(__all_sync(mask, lane() != 9));
  mine[3] = static_cast<unsigned>(__all_sync(mask, 1));
}

TEST(Vote, CountsTheLanesOfTheMask) {
  in_every_order([] {
    for (const unsigned mask : {0xffffffffu, 0x0000ffffu, 0xfffffdffu, 0x80000001u}) {
      std::vector<unsigned> out(4 * 32, 77), expected(4 * 32, 77);
      launch(ballots, 1, 32, 0, Stream{}, out.data(), mask);
      unsigned ballot = 0;
      for (unsigned l = 0; l < 32; l += 3) ballot |= mask & 1u << l;
      const unsigned has_nine = mask >> 9 & 1u;
      for (unsigned l = 0; l < 32; ++l) {
        if (!(mask >> l & 1u)) continue;
        const unsigned row[] = {ballot, has_nine, has_nine ^ 1u, 1};
        std::copy(row, row + 4, expected.begin() + 4 * l);
      }
      EXPECT_EQ(out, expected) << mask;
    }
  });
}

__global__ void lane_that_returned(int* out) {
  if (threadIdx.x == 3) return;
  out[threadIdx.x] = warp_sum(1);
}

__global__ void mask_without_itself(int* out) { out[threadIdx.x] = __shfl_sync(0x0000fffeu, 1, 1); }

__global__ void source_outside_of_the_mask(int* out) {
  if (threadIdx.x < 16) out[threadIdx.x] = __shfl_xor_sync(0x0000ffffu, 1, 16);
}

__global__ void two_operations(int* out) {
  if (threadIdx.x < 16) {
    out[threadIdx.x] = __shfl_xor_sync(kFullWarp, 1, 16);
  } else {
    out[threadIdx.x] = __any_sync(kFullWarp, 1);
  }
}

TEST(WarpOperation, MissingLanesAreErrors) {
  std::vector<int> out(64);
  const auto run = [&](void (*kernel)(int*), unsigned threads) {
    return error_of([&] { launch(kernel, 1, threads, 0, Stream{}, out.data()); });
  };
  in_every_order([&] {
    EXPECT_TRUE(contains(run(lane_that_returned, 32),
                         {"thread (0,0,0) waits for ever in __shfl_xor_sync in warp_sum at "
                          "kernels/device/warp.h:",
                          "lane 3, thread (3,0,0), has returned"}));
    EXPECT_TRUE(contains(run(mask_without_itself, 32),
                         {"mask 0x0000fffe, which lacks its own lane", "in mask_without_itself"}));
    EXPECT_TRUE(contains(run(source_outside_of_the_mask, 32),
                         {"reads lane", "which the mask 0x0000ffff lacks"}));
    EXPECT_TRUE(contains(run(two_operations, 32), {"came to ", "while lane ", "__shfl_xor_sync",
                                                   "__any_sync", "the same mask 0xffffffff"}));
    // The last warp of a block of 40 threads has no lane 8.
    EXPECT_TRUE(contains(run([](int* p) { p[threadIdx.x] = warp_sum(1); }, 40),
                         {"the block has no lane 8"}));
    EXPECT_EQ(run([](int* p) { p[threadIdx.x] = warp_sum(1); }, 64), "");
    EXPECT_EQ(out, std::vector<int>(64, 32));
  });
}

__global__ void atomics(unsigned long long* sum, int* extremes, unsigned* once, int* winners) {
  const auto i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  atomicAdd(sum, static_cast<unsigned long long>(i));
  atomicMax(&extremes[0], i % 500);
  atomicMin(&extremes[1], -i);
  if (atomicCAS(once, 0u, 1u) == 0u) atomicAdd(winners, 1);
  if (atomicExch(&extremes[2], 1) == 0) atomicAdd(winners, 1);
}

TEST(Atomics, HoldAcrossBlocks) {
  in_every_order([] {
    unsigned long long sum = 0;
    std::vector<int> extremes(3);
    unsigned once = 0;
    int winners = 0;
    launch(atomics, 100, 64, 0, Stream{}, &sum, extremes.data(), &once, &winners);
    EXPECT_EQ(sum, 6400ull * 6399 / 2);
    EXPECT_EQ(extremes, (std::vector<int>{499, -6399, 1}));
    EXPECT_EQ(winners, 2);
  });
}

template <int kLanes, typename T>
__global__ void warp_reductions(T* sums, T* maxima, const T* values) {
  sums[threadIdx.x] = warp_sum<kLanes>(values[threadIdx.x]);
  maxima[threadIdx.x] = warp_max<kLanes>(values[threadIdx.x]);
}

template <int kLanes, typename T>
void check_warp_reductions() {
  std::vector<T> values(96), sums(96), maxima(96);
  for (int i = 0; i < 96; ++i) values[i] = static_cast<T>((i * 37) % 101 - 50);
  launch(warp_reductions<kLanes, T>, 1, 96, 0, Stream{}, sums.data(), maxima.data(), values.data());
  for (int i = 0; i < 96; ++i) {
    const auto begin = values.begin() + i / kLanes * kLanes;
    EXPECT_EQ(sums[i], std::accumulate(begin, begin + kLanes, T(0)));
    EXPECT_EQ(maxima[i], *std::max_element(begin, begin + kLanes));
  }
}

TEST(WarpReduction, EveryLaneGetsItsGroups) {
  in_every_order([] {
    check_warp_reductions<32, float>();
    check_warp_reductions<8, float>();
    check_warp_reductions<4, double>();
    check_warp_reductions<2, int>();
    check_warp_reductions<1, int>();
  });
}

TEST(WarpReduction, NumbersWinOverNaN) {
  std::vector<float> values(32, NAN), sums(32), maxima(32);
  values[11] = -INFINITY;
  values[12] = -3.0f;
  launch(warp_reductions<32, float>, 1, 32, 0, Stream{}, sums.data(), maxima.data(), values.data());
  EXPECT_EQ(maxima, std::vector<float>(32, -3.0f));
}

// Called twice in a row: the second must not disturb those who still read the first.
template <int kThreads, typename T>
__global__ void block_reductions(T* sums, T* doubled_sums, T* maxima, const T* values) {
  const auto i = blockIdx.x * kThreads + threadIdx.x;
  sums[i] = block_sum<kThreads>(values[i]);
  doubled_sums[i] = block_sum<kThreads>(T(2) * values[i]);
  maxima[i] = block_max<kThreads>(values[i]);
}

template <int kThreads, typename T>
void check_block_reductions() {
  constexpr int kBlocks = 3;
  std::vector<T> values(kBlocks * kThreads), sums(values.size()), doubled_sums(values.size()),
      maxima(values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<T>(static_cast<int>(i * 37 % 101) - 101);
  }
  launch(block_reductions<kThreads, T>, kBlocks, kThreads, 0, Stream{}, sums.data(),
         doubled_sums.data(), maxima.data(), values.data());
  for (size_t i = 0; i < values.size(); ++i) {
    const auto begin = values.begin() + i / kThreads * kThreads;
    const T sum = std::accumulate(begin, begin + kThreads, T(0));
    ASSERT_EQ(sums[i], sum) << i;
    ASSERT_EQ(doubled_sums[i], T(2) * sum) << i;
    ASSERT_EQ(maxima[i], *std::max_element(begin, begin + kThreads)) << i;
  }
}

TEST(BlockReduction, EveryThreadGetsTheBlocks) {
  in_every_order([] {
    check_block_reductions<32, float>();
    check_block_reductions<64, float>();
    check_block_reductions<96, int>();
    check_block_reductions<256, double>();
    check_block_reductions<1024, float>();
  });
}

// Values whose sum depends on the order of the additions.
TEST(BlockReduction, SameBitsInEveryThreadAndOrder) {
  std::vector<float> values(256), sums(256), doubled_sums(256), maxima(256);
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] =
        std::ldexp(1.0f + static_cast<float>(i) / 977.0f, static_cast<int>(i * 7 % 40) - 20);
  }
  std::vector<float> seen;
  in_every_order([&] {
    launch(block_reductions<256, float>, 1, 256, 0, Stream{}, sums.data(), doubled_sums.data(),
           maxima.data(), values.data());
    seen.insert(seen.end(), sums.begin(), sums.end());
  });
  EXPECT_EQ(seen, std::vector<float>(seen.size(), seen[0]));
}

}  // namespace

}  // namespace cria::emulated
