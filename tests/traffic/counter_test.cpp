// Counters on small kernels whose accesses can be told by looking at them.
#include <gtest/gtest.h>

#include "cria/core/parallel.h"

#include "kernels/device/async_copy.h"
#include "kernels/device/mma.h"
#include "kernels/device/vector.h"
#include "kernels/emulator/thread_order.h"
#include "traffic/counted.h"

namespace cria::emulated::traffic {

void PrintTo(const Global& global, std::ostream* out) {
  *out << global.accesses << " accesses, " << global.sectors << " sectors, " << global.bytes
       << " bytes, " << global.distinct << " distinct sectors";
}

void PrintTo(const Shared& shared, std::ostream* out) {
  *out << shared.accesses << " accesses, " << shared.wavefronts << " wavefronts, "
       << shared.conflicts << " conflicts";
}

namespace {

using cria::testing::Counted;

constexpr int kBlocks = 5, kThreads = 96;
constexpr int kItems = kBlocks * kThreads, kWarps = kItems / 32;

// What a launch counts in every order of threads, on one and on several threads of the host: the
// same, or the test fails.
template <typename... Parameters, typename... Arguments>
LaunchTraffic count(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes,
                    Arguments... arguments) {
  const ThreadOrder order_before = thread_order();
  const int threads_before = thread_count();
  std::vector<LaunchTraffic> results;
  for (const char* order : {"forward", "reverse", "shuffled:1", "shuffled:2"}) {
    for (const int host_threads : {1, 3}) {
      set_thread_order(parse_thread_order(order));
      omp_set_num_threads(host_threads);
      const DeviceAccess access;
      Counter counter;
      launch(kernel, Grid(grid), block, shared_bytes, Stream{}, arguments...);
      std::vector<LaunchTraffic> launches = counter.take();
      EXPECT_EQ(launches.size(), 1);
      results.push_back(launches.at(0));
      EXPECT_TRUE(results.back().regions == results[0].regions) << order << " " << host_threads;
      EXPECT_TRUE(results.back().instructions == results[0].instructions) << order;
    }
  }
  set_thread_order(order_before);
  omp_set_num_threads(threads_before);
  return results[0];
}

__device__ int item() { return static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x); }

__global__ void copy(float* to, const float* from, int stride, int offset) {
  to[item()] = from[item() * stride + offset];
}

LaunchTraffic count_copy(int stride, int offset = 0) {
  const Counted to({kItems}, DType::f32), from({kItems * (stride + 1)}, DType::f32);
  return count(copy, kBlocks, kThreads, 0, to.data<float>(), from.data<float>(), stride, offset);
}

TEST(Counter, NeighboursShareSectors) {
  const LaunchTraffic traffic = count_copy(1);
  const Global whole{
      .accesses = kWarps, .sectors = 4 * kWarps, .bytes = 4 * kItems, .distinct = 4 * kWarps};
  EXPECT_EQ(traffic.loads(), whole);
  EXPECT_EQ(traffic.stores(), whole);
  EXPECT_EQ(traffic.shared(), Shared());
  ASSERT_EQ(traffic.regions.size(), 2);
  EXPECT_EQ(traffic.instructions.size(), 2);
}

TEST(Counter, StridesTakeSectorsOfWhichTheyUseAPart) {
  EXPECT_EQ(count_copy(2).loads(), (Global{kWarps, 8 * kWarps, 4 * kItems, 8 * kWarps}));
  EXPECT_EQ(count_copy(8).loads(), (Global{kWarps, kItems, 4 * kItems, kItems}));
  EXPECT_EQ(count_copy(0).loads(), (Global{kWarps, kWarps, 4 * kItems, 1}));  // a broadcast
  // Off by one element: five sectors, of which neighbours share the first and the last.
  EXPECT_EQ(count_copy(1, 1).loads(), (Global{kWarps, 5 * kWarps, 4 * kItems, 4 * kWarps + 1}));
}

__global__ void read_twice(float* to, const float* from) {
  const float first = from[item()];
  __syncthreads();
  to[item()] = first + from[item()];
}

TEST(Counter, WhatIsReadTwiceIsAskedForTwiceAndComesOnce) {
  const Counted to({kItems}, DType::f32), from({kItems}, DType::f32);
  const LaunchTraffic traffic =
      count(read_twice, kBlocks, kThreads, 0, to.data<float>(), from.data<float>());
  EXPECT_EQ(traffic.loads(), (Global{2 * kWarps, 8 * kWarps, 8 * kItems, 4 * kWarps}));
}

template <typename T, int kElements>
__global__ void copy_vectors(T* to, const T* from) {
  store(to + item() * kElements, load<kElements>(from + item() * kElements));
}

template <typename T, int kElements>
LaunchTraffic count_vectors() {
  const Counted to({kItems * kElements}, DType::f32), from({kItems * kElements}, DType::f32);
  return count(copy_vectors<T, kElements>, kBlocks, kThreads, 0, to.data<T>(), from.data<T>());
}

// A vector is one access, not one for each of its elements; over 16 bytes it is several, each of
// which takes a part of its sectors.
TEST(Counter, VectorsAreAccessesOf16Bytes) {
  const LaunchTraffic wide = count_vectors<float, 4>();
  EXPECT_EQ(wide.loads(), (Global{kWarps, 16 * kWarps, 16 * kItems, 16 * kWarps}));
  EXPECT_EQ(wide.stores(), wide.loads());
  EXPECT_EQ((count_vectors<bf16, 8>().stores()), wide.loads());
  EXPECT_EQ((count_vectors<bf16, 4>().loads()),
            (Global{kWarps, 8 * kWarps, 8 * kItems, 8 * kWarps}));
  EXPECT_EQ((count_vectors<float, 8>().loads()),
            (Global{2 * kWarps, 2 * 32 * kWarps, 32 * kItems, 32 * kWarps}));
}

// Lanes leave the loop at different turns; the n-th turns of those that are there are one access.
__global__ void triangle(float* to, const float* from) {
  float sum = 0.0f;
  for (unsigned i = 0; i <= threadIdx.x % 32; ++i) sum += from[32 * i + threadIdx.x % 32];
  to[item()] = sum;
}

TEST(Counter, LanesMeetInTheirTurns) {
  const Counted to({kItems}, DType::f32), from({1024}, DType::f32);
  const LaunchTraffic traffic =
      count(triangle, kBlocks, kThreads, 0, to.data<float>(), from.data<float>());
  int64_t sectors = 0;
  for (int turn = 0; turn < 32; ++turn) sectors += 4 - turn / 8;
  EXPECT_EQ(traffic.loads(),
            (Global{32 * kWarps, sectors * kWarps, 33 * 16 * 4 * kWarps, sectors}));
}

// A lane that came later than others is with them again once the warp has met.
__global__ void apart(float* to, const float* from) {
  float sum = 0.0f;
  for (unsigned half = 0; half < 2; ++half) {
    if (half == 1 || threadIdx.x % 2 == 0) sum += from[32 * half + threadIdx.x % 32];
    __syncwarp();
  }
  to[item()] = sum;
}

TEST(Counter, WarpsMeetAtTheirWaits) {
  const Counted to({kItems}, DType::f32), from({64}, DType::f32);
  const LaunchTraffic traffic =
      count(apart, kBlocks, kThreads, 0, to.data<float>(), from.data<float>());
  EXPECT_EQ(traffic.loads(), (Global{2 * kWarps, 8 * kWarps, 4 * 48 * kWarps, 8}));
}

__global__ void early_return(float* to, int items) {
  if (item() >= items) return;
  to[item()] = 1.0f;
}

TEST(Counter, LanesThatHaveReturnedTakeNoPart) {
  const Counted to({kItems}, DType::f32);
  EXPECT_EQ(count(early_return, kBlocks, kThreads, 0, to.data<float>(), 40).stores(),
            (Global{2, 5, 160, 5}));
}

__global__ void add_atomically(int* sum) { atomicAdd(sum + item() % 2 * 8, 1); }

TEST(Counter, AtomicsLoadAndStore) {
  const Counted sum({16}, DType::i32);
  const LaunchTraffic traffic = count(add_atomically, kBlocks, kThreads, 0, sum.data<int>());
  EXPECT_EQ(traffic.loads(), (Global{kWarps, 2 * kWarps, 4 * kItems, 2}));
  EXPECT_EQ(traffic.stores(), traffic.loads());
  const DeviceAccess access;
  EXPECT_EQ(*sum.data<int>(), 8 * kItems / 2);  // eight launches; the addition itself is done
}

template <typename T>
__global__ void use_shared(float* to, int stride) {
  T* tile = dynamic_shared<T>();
  tile[static_cast<int>(threadIdx.x) * stride] = T{};
  __syncthreads();
  if (threadIdx.x == 0) to[0] = 1.0f;
}

template <typename T>
Shared count_shared_stores(int stride) {
  const Counted to({1}, DType::f32);
  return count(use_shared<T>, kBlocks, kThreads, 96 * 64 * sizeof(T), to.data<float>(), stride)
      .shared(Access::store);
}

TEST(Counter, StridesInSharedMemoryConflict) {
  EXPECT_EQ(count_shared_stores<float>(1), (Shared{kWarps, kWarps, 0}));
  EXPECT_EQ(count_shared_stores<float>(2), (Shared{kWarps, 2 * kWarps, kWarps}));
  EXPECT_EQ(count_shared_stores<float>(32), (Shared{kWarps, 32 * kWarps, 31 * kWarps}));
  EXPECT_EQ(count_shared_stores<float>(33), (Shared{kWarps, kWarps, 0}));
  EXPECT_EQ(count_shared_stores<float>(0), (Shared{kWarps, kWarps, 0}));
  EXPECT_EQ(count_shared_stores<double>(1), (Shared{kWarps, 2 * kWarps, 0}));
  EXPECT_EQ(count_shared_stores<double>(2), (Shared{kWarps, 4 * kWarps, 2 * kWarps}));
}

__global__ void use_static_shared(float* to) {
  __shared__ SharedArray<float, kThreads> tile;
  tile[static_cast<int>(threadIdx.x)] = 1.0f;
  __syncthreads();
  to[item()] = tile[static_cast<int>(threadIdx.x % 32 * 2)];
}

TEST(Counter, StaticSharedMemoryIsSharedToo) {
  const Counted to({kItems}, DType::f32);
  const LaunchTraffic traffic = count(use_static_shared, kBlocks, kThreads, 0, to.data<float>());
  EXPECT_EQ(traffic.shared(Access::store), (Shared{kWarps, kWarps, 0}));
  EXPECT_EQ(traffic.shared(Access::load), (Shared{kWarps, 2 * kWarps, kWarps}));
  EXPECT_EQ(traffic.loads(), Global());
}

// Two floats of vectors of 8: the 16-byte halves of neighbours are 32 bytes apart.
__global__ void vectors_in_shared(float* to) {
  float* tile = dynamic_shared<float>();
  store(tile + 8 * threadIdx.x, Vector<float, 8>{});
  store(tile + 4 * threadIdx.x, Vector<float, 4>{});
  __syncthreads();
  if (threadIdx.x == 0) to[0] = 1.0f;
}

TEST(Counter, HalvesOfLongVectorsConflict) {
  const Counted to({1}, DType::f32);
  const LaunchTraffic traffic =
      count(vectors_in_shared, kBlocks, kThreads, kThreads * 32, to.data<float>());
  EXPECT_EQ(traffic.shared(), (Shared{3 * kWarps, (2 * 8 + 4) * kWarps, 2 * 4 * kWarps}));
}

// Eight rows of 64 bf16 at the same chunk each: all in the same four banks, or, with the chunks of
// each row in another order, in all 32.
template <bool kSwizzled>
__global__ void load_matrices(float* to, const bf16* from) {
  bf16* tile = dynamic_shared<bf16>();
  const auto lane = static_cast<int>(threadIdx.x);
  const auto chunk = [&](int row, int index) {
    return tile + row * 64 + (kSwizzled ? index ^ row % 8 : index) * 8;
  };
  for (int i = 0; i < 8; ++i) async_copy_16(chunk(lane, i), from + lane * 64 + i * 8);
  async_commit();
  async_wait<0>();
  __syncwarp();
  uint32_t f[4];
  ldmatrix_x4(f, chunk(lane, 2));
  ldmatrix_x2(*reinterpret_cast<uint32_t(*)[2]>(&f), chunk(lane, 3));
  to[lane] = static_cast<float>(f[0]);
}

TEST(Counter, SwizzlesFreeLdmatrixOfConflicts) {
  const Counted to({32}, DType::f32), from({32 * 64}, DType::bf16);
  const auto run = [&](auto kernel) {
    return count(kernel, 1, 32, 32 * 128, to.data<float>(), from.data<bf16>());
  };
  const LaunchTraffic swizzled = run(load_matrices<true>), plain = run(load_matrices<false>);
  EXPECT_EQ(swizzled.shared(Access::load), (Shared{2, 4 + 2, 0}));
  EXPECT_EQ(plain.shared(Access::load), (Shared{2, 8 * (4 + 2), 7 * (4 + 2)}));
  // cp.async, a row a lane: the writes conflict in the same way, and the reads take half sectors.
  EXPECT_EQ(swizzled.shared(Access::store), (Shared{8, 8 * 4, 0}));
  EXPECT_EQ(plain.shared(Access::store), (Shared{8, 8 * 32, 8 * 28}));
  EXPECT_EQ(swizzled.loads(), (Global{8, 8 * 32, 4096, 128}));
}

// An asynchronous copy that is not valid writes zeros and reads nothing.
__global__ void copy_nothing(const bf16* from) {
  async_copy_16(dynamic_shared<bf16>() + 8 * threadIdx.x, from, false);
  async_commit();
  async_wait<0>();
}

TEST(Counter, CopiesOfNothingReadNothing) {
  const Counted from({8}, DType::bf16);
  const LaunchTraffic traffic = count(copy_nothing, 1, 32, 512, from.data<bf16>());
  EXPECT_EQ(traffic.loads(), Global());
  EXPECT_EQ(traffic.shared(), (Shared{1, 4, 0}));
}

struct Argument {
  float values[6];
};

// Arguments, stacks, indices of threads, static memory of the program: none of it is counted.
__global__ void use_locals(float* to, Argument argument) {
  volatile float local[32];
  for (int i = 0; i < 32; ++i) local[i] = argument.values[(i + threadIdx.x) % 6];
  static thread_local float neither = 0.0f;
  neither += local[threadIdx.x % 32];
  to[item()] = neither;
}

TEST(Counter, NothingElseIsCounted) {
  const Counted to({kItems}, DType::f32);
  const LaunchTraffic traffic =
      count(use_locals, kBlocks, kThreads, 0, to.data<float>(), Argument{});
  EXPECT_EQ(traffic.loads(), Global());
  EXPECT_EQ(traffic.stores(), (Global{kWarps, 4 * kWarps, 4 * kItems, 4 * kWarps}));
  EXPECT_EQ(traffic.shared(), Shared());
}

TEST(Counter, KernelsAndLinesAreNamed) {
  const LaunchTraffic traffic = count_copy(1);
  const auto lines =
      find_sources({traffic.kernel, static_cast<const char*>(traffic.instructions[0].address) - 1});
  EXPECT_EQ(lines[0].function, "copy");
  EXPECT_NE(lines[1].place.find("tests/traffic/counter_test.cpp:"), std::string::npos)
      << lines[1].place;
}

TEST(Counter, NobodyCountsWhenItIsGone) {
  const Counted to({kItems}, DType::f32);
  const DeviceAccess access;
  launch(early_return, kBlocks, kThreads, 0, Stream{}, to.data<float>(), 40);
  Counter counter;
  EXPECT_TRUE(counter.take().empty());
}

}  // namespace

}  // namespace cria::emulated::traffic
