// Shared memory, vector accesses and asynchronous copies.
#include <cmath>
#include <cstring>
#include <numeric>

#include "kernels/device/async_copy.h"
#include "kernels/device/vector.h"
#include "kernels/emulator_test.h"

namespace cria::emulated {

namespace {

using cria::testing::contains;
using cria::testing::error_of;
using cria::testing::in_every_order;

__global__ void read_before_write(float* out) {
  __shared__ SharedArray<float, 64> tile;
  float* dynamic = dynamic_shared<float>();
  out[4 * blockIdx.x] = tile[5];
  out[4 * blockIdx.x + 1] = dynamic[6];
  for (int i = 0; i < 64; ++i) tile[i] = dynamic[i] = 1.0f;  // must not be there in the next block
  out[4 * blockIdx.x + 2] = tile[5];
  out[4 * blockIdx.x + 3] = dynamic[6];
}

TEST(SharedMemory, StartsPoisonedInEveryBlock) {
  constexpr int kBlocks = 5;
  for (int launches = 0; launches < 2; ++launches) {
    std::vector<float> out(4 * kBlocks);
    launch(read_before_write, kBlocks, 1, 64 * sizeof(float), Stream{}, out.data());
    for (int block = 0; block < kBlocks; ++block) {
      EXPECT_TRUE(std::isnan(out[4 * block]));
      EXPECT_TRUE(std::isnan(out[4 * block + 1]));
      EXPECT_EQ(out[4 * block + 2], 1.0f);
      EXPECT_EQ(out[4 * block + 3], 1.0f);
    }
  }
}

template <int kIndex>
__global__ void index_static() {
  __shared__ SharedArray<int, 16> tile;
  tile[kIndex] = 1;
}

TEST(SharedMemory, IndicesOfStaticArraysAreChecked) {
  const auto run = [](void (*kernel)()) {
    return error_of([=] { launch(kernel, 1, 1, 0, Stream{}); });
  };
  EXPECT_EQ(run(index_static<15>), "");
  EXPECT_TRUE(contains(run(index_static<16>), {"element 16 of a static shared array of 16"}));
  EXPECT_TRUE(contains(run(index_static<-1>), {"element -1 of a static shared array of 16"}));
}

__global__ void write_dynamic(int index) {
  __syncthreads();  // on a fiber like any other
  dynamic_shared<volatile char>()[index] = 1;
}

#ifdef __SANITIZE_ADDRESS__

__global__ void write_static(int index) {
  __shared__ SharedArray<char, 40> tile;
  volatile char* data = tile.data();
  data[index] = 1;
}

__global__ void write_global(volatile char* data) {
  __syncthreads();
  data[threadIdx.x] = 1;
}

__global__ void write_local(int index) {
  char local[40];
  volatile char* data = local;
  __syncthreads();
  data[index] = 1;
}

// AddressSanitizer watches what a kernel touches, on whatever fiber it runs.
TEST(SharedMemoryDeathTest, AddressSanitizerSeesEveryByteOutside) {
  launch(write_dynamic, 1, 2, 100, Stream{}, 99);
  EXPECT_DEATH(launch(write_dynamic, 1, 2, 100, Stream{}, 100), "use-after-poison");
  EXPECT_DEATH(launch(write_dynamic, 1, 2, 100, Stream{}, -1), "use-after-poison");
  launch(write_static, 1, 2, 0, Stream{}, 39);
  EXPECT_DEATH(launch(write_static, 1, 2, 0, Stream{}, 40), "heap-buffer-overflow");
  launch(write_local, 1, 2, 0, Stream{}, 39);
  EXPECT_DEATH(launch(write_local, 1, 2, 0, Stream{}, 40),
               "stack-buffer-overflow|insufficient space");
  std::vector<char> data(33);
  launch(write_global, 1, 33, 0, Stream{}, data.data());
  EXPECT_DEATH(launch(write_global, 1, 34, 0, Stream{}, data.data()), "heap-buffer-overflow");
}

#else

TEST(SharedMemory, WritesAroundTheDynamicOneAreNoticed) {
  const auto run = [](int index) {
    return error_of([=] { launch(write_dynamic, 2, 1, 100, Stream{}, index); });
  };
  EXPECT_EQ(run(0), "");
  EXPECT_EQ(run(99), "");
  EXPECT_TRUE(contains(run(100), {"outside of its 100 bytes of dynamic shared memory"}));
  EXPECT_EQ(run(99), "");
  EXPECT_TRUE(contains(run(-1), {"outside of its 100 bytes of dynamic shared memory"}));
  EXPECT_EQ(run(99), "");
}
#endif

template <int kBytes>
__global__ void use_static() {
  __shared__ SharedArray<char, kBytes> tile;
  tile[0] = 1;
}

TEST(SharedMemory, AmountsAreCountedAgainstTheLimits) {
  const auto run = [](void (*kernel)(), size_t dynamic) {
    return error_of([=] { launch(kernel, 1, 1, dynamic, Stream{}); });
  };
  EXPECT_EQ(run(use_static<48 * 1024>, 0), "");
  EXPECT_TRUE(contains(run(use_static<48 * 1024 + 1>, 0), {"bytes of static shared memory"}));
  EXPECT_EQ(run(use_static<1024>, 226 * 1024), "");
  EXPECT_TRUE(contains(run(use_static<1024>, 226 * 1024 + 1),
                       {"uses 1024 bytes of static beside 231425 of dynamic shared memory"}));
}

__global__ void dynamic_alignment(int* aligned) {
  *aligned = reinterpret_cast<uintptr_t>(dynamic_shared<char>()) % 128 == 0;
}

TEST(SharedMemory, DynamicIsAlignedTo128Bytes) {
  int aligned = 0;
  launch(dynamic_alignment, 1, 1, 1, Stream{}, &aligned);
  EXPECT_TRUE(aligned);
}

template <typename T, int kElements>
__global__ void copy_vectors(T* out, const T* in, int offset) {
  const auto i = static_cast<int>(threadIdx.x) * kElements + offset;
  store(out + i, load<kElements>(in + i));
}

template <typename T, int kElements>
void check_vector_copy() {
  using V = Vector<T, kElements>;
  static_assert(sizeof(V) == sizeof(T) * kElements && alignof(V) == sizeof(V));
  alignas(64) T in[64], out[64];
  for (int i = 0; i < 64; ++i) in[i] = static_cast<T>(static_cast<float>(i));
  std::memset(static_cast<void*>(out), 0, sizeof out);
  launch(copy_vectors<T, kElements>, 1, 64 / kElements - 1, 0, Stream{}, out, in, kElements);
  for (int i = 0; i < 64; ++i) {
    EXPECT_EQ(static_cast<float>(out[i]), i < kElements ? 0.0f : static_cast<float>(i));
  }
  const auto run = [&](int offset) {
    return error_of(
        [&] { launch(copy_vectors<T, kElements>, 1, 1, 0, Stream{}, out, in, offset); });
  };
  EXPECT_EQ(run(0), "");
  if (kElements > 1) {
    EXPECT_TRUE(contains(run(1), {fmt::format("moves {} bytes at an address that is {} bytes past "
                                              "a multiple of {} in copy_vectors",
                                              sizeof(V), sizeof(T), sizeof(V)),
                                  "thread (0,0,0)", "tests/kernels/memory_test.cpp"}));
  }
}

TEST(Vector, LoadsAndStoresWholeAndAligned) {
  check_vector_copy<float, 4>();
  check_vector_copy<float, 2>();
  check_vector_copy<float, 1>();
  check_vector_copy<bf16, 8>();
  check_vector_copy<bf16, 4>();
  check_vector_copy<bf16, 2>();
  check_vector_copy<bf16, 1>();
  static_assert(decltype(load(static_cast<float*>(nullptr)))::kSize == 4);
  static_assert(decltype(load(static_cast<bf16*>(nullptr)))::kSize == 8);
}

__global__ void copy_16_bytes(float* out, const float* in) { store(out, load(in)); }

TEST(Vector, LoadsAndStoresAreOf16BytesUnlessSaid) {
  alignas(16) const float in[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  alignas(16) float out[8] = {};
  const auto run = [&](int to, int from) {
    return error_of([&] { launch(copy_16_bytes, 1, 1, 0, Stream{}, out + to, in + from); });
  };
  EXPECT_EQ(run(0, 4), "");
  EXPECT_EQ(std::vector<float>(out, out + 8), (std::vector<float>{5, 6, 7, 8, 0, 0, 0, 0}));
  // Each end is checked, whatever the other is.
  EXPECT_TRUE(contains(run(1, 0), {"moves 16 bytes at an address that is 4 bytes past"}));
  EXPECT_TRUE(contains(run(0, 2), {"moves 16 bytes at an address that is 8 bytes past"}));
}

TEST(Vector, ConvertsAsTheScalarTypeDoes) {
  const float values[] = {1.00390625f, -1.01171875f, 3.0e38f,  0x1p-130f,
                          -0.0f,       1e-3f,        65504.0f, 1.0f / 3.0f};
  Vector<float, 8> singles;
  std::copy(values, values + 8, singles.values);
  const Vector<bf16, 8> rounded = from_float<bf16>(singles);
  const Vector<float, 8> back = to_float(rounded);
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(rounded[i].bits, bf16(values[i]).bits) << i;
    EXPECT_EQ(back[i], static_cast<float>(bf16(values[i]))) << i;
  }
  EXPECT_EQ(from_float<float>(singles)[7], values[7]);
  EXPECT_EQ((from_float<bf16>(Vector<float, 1>{{1.01171875f}})[0].bits), bf16(1.01171875f).bits);
  EXPECT_EQ(pack_bf16(1.0f, -2.0f), 0xc0003f80u);
}

// Two stages: tile k + 1 is on its way while tile k is read.
template <int kPending>
__global__ void pipeline(int* out, const int* in, int tiles, int valid) {
  int* stages = dynamic_shared<int>();  // [2, 4]
  const auto fetch = [&](int tile) {
    if (tile < tiles) async_copy_16(stages + tile % 2 * 4, in + 4 * tile, tile < valid);
    async_commit();
  };
  fetch(0);
  for (int tile = 0; tile < tiles; ++tile) {
    fetch(tile + 1);
    async_wait<kPending>();
    std::copy_n(stages + tile % 2 * 4, 4, out + 4 * tile);
  }
}

template <int kPending>
std::vector<int> pipelined(int valid) {
  alignas(16) int in[32];
  std::iota(in, in + 32, 1);
  std::vector<int> out(32);
  launch(pipeline<kPending>, 1, 1, 32, Stream{}, out.data(), in, 8, valid);
  return out;
}

TEST(AsyncCopy, ArrivesGroupByGroupAtTheWait) {
  std::vector<int> expected(32);
  std::iota(expected.begin(), expected.end(), 1);
  EXPECT_EQ(pipelined<1>(8), expected);
  EXPECT_EQ(pipelined<0>(8), expected);
  std::fill(expected.begin() + 5 * 4, expected.end(), 0);  // zeros where not valid
  EXPECT_EQ(pipelined<1>(5), expected);
}

// A wait that lets two groups pend: every tile is read one step too early.
TEST(AsyncCopy, IsNotThereBeforeTheWait) {
  const std::vector<int> right = pipelined<1>(8), early = pipelined<2>(8);
  for (size_t i = 0; i < right.size(); ++i) EXPECT_NE(early[i], right[i]) << i;
}

__global__ void overwritten_while_read(int* out, const int* in) {
  int* tile = dynamic_shared<int>();
  async_copy_16(tile, in);
  async_commit();
  async_wait<0>();
  out[0] = tile[0];
  async_copy_16(tile, in + 4);
  out[1] = tile[0];  // neither the old value nor the new
  async_wait<0>();   // its group was never closed
  out[2] = tile[0];
  async_commit();
  async_wait<0>();
  out[3] = tile[0];
}

TEST(AsyncCopy, TakesWhatWasThereAndWaitsOnlyForClosedGroups) {
  alignas(16) const int in[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  std::vector<int> out(4);
  launch(overwritten_while_read, 1, 1, 16, Stream{}, out.data(), in);
  EXPECT_EQ(out, (std::vector<int>{1, -1, -1, 5}));
}

__global__ void copy_words(float* out, const float* in, int valid) {
  float* const words = dynamic_shared<float>();
  for (int i = 0; i < 3; ++i) async_copy_4(words + i, in + i, i < valid);
  async_commit();
  out[0] = words[0];
  async_wait<0>();
  std::copy_n(words, 3, out + 1);
}

TEST(AsyncCopy, OfSingleWords) {
  const std::vector<float> in = {1, 2, 3};
  std::vector<float> out(4);
  launch(copy_words, 1, 1, 12, Stream{}, out.data(), in.data(), 2);
  EXPECT_TRUE(std::isnan(out[0]));
  EXPECT_EQ(std::vector(out.begin() + 1, out.end()), (std::vector<float>{1, 2, 0}));
}

__global__ void copy_shared(const char* in, int to, int from, bool valid) {
  async_copy_16(dynamic_shared<char>() + to, in + from, valid);
}

TEST(AsyncCopy, BothEndsAreAligned) {
  alignas(16) const char in[64] = {};
  const auto run = [&](int to, int from) {
    return error_of([&] { launch(copy_shared, 1, 1, 64, Stream{}, in, to, from, true); });
  };
  EXPECT_EQ(run(16, 32), "");
  EXPECT_TRUE(contains(run(8, 0), {"8 bytes past a multiple of 16", "in copy_shared"}));
  EXPECT_TRUE(contains(run(0, 4), {"4 bytes past a multiple of 16"}));
}

}  // namespace

}  // namespace cria::emulated
