#include "cria/core/buffer.h"

#include <algorithm>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cria {

namespace {

using ::testing::HasSubstr;

// Host memory that counts, and that has only so much to give.
class CountingMemory : public Memory {
 public:
  Device device() const override { return Device::cpu; }
  void* allocate(size_t bytes) override {
    ++allocations;
    held += bytes;
    return host_memory().allocate(bytes);
  }
  void release(void* data, size_t bytes) noexcept override {
    held -= bytes;
    host_memory().release(data, bytes);
  }
  size_t available() const override { return limit; }

  size_t limit = size_t{1} << 30;
  size_t held = 0;
  int allocations = 0;
};

bool is_aligned(const void* data) { return reinterpret_cast<uintptr_t>(data) % 64 == 0; }

TEST(Buffer, IsAlignedAndZeroed) {
  for (const size_t bytes : {1, 63, 4096, 5000000}) {
    const Buffer buffer(host_memory(), bytes);
    EXPECT_EQ(buffer.bytes(), bytes);
    EXPECT_TRUE(is_aligned(buffer.data()));
    const auto* first = static_cast<const uint8_t*>(buffer.data());
    EXPECT_TRUE(std::all_of(first, first + bytes, [](uint8_t byte) { return byte == 0; }));
  }
}

TEST(Buffer, ReleasesOnceWhereverItMoves) {
  CountingMemory memory;
  {
    Buffer first(memory, 1000);
    void* data = first.data();
    Buffer second(std::move(first));
    EXPECT_EQ(second.data(), data);
    EXPECT_EQ(second.bytes(), 1000u);
    Buffer third;
    third = std::move(second);
    EXPECT_EQ(third.data(), data);
    EXPECT_EQ(memory.held, 1000u);

    Buffer fourth(memory, 500);
    fourth = std::move(third);
    EXPECT_EQ(fourth.data(), data);
    EXPECT_EQ(fourth.bytes(), 1000u);
  }
  EXPECT_EQ(memory.held, 0u);
  EXPECT_EQ(memory.allocations, 2);
}

TEST(Buffer, EmptyOnesHoldNothing) {
  CountingMemory memory;
  const Buffer empty(memory, 0);
  EXPECT_EQ(empty.data(), nullptr);
  EXPECT_EQ(memory.allocations, 0);
  EXPECT_EQ(Buffer().data(), nullptr);
}

TEST(Buffer, IsSeenAsATensorThatFits) {
  const Buffer buffer(host_memory(), 100);
  const Tensor tensor = buffer.tensor(DType::f32, {5, 5});
  EXPECT_EQ(tensor.data, buffer.data());
  EXPECT_EQ(tensor.bytes(), 100u);
  EXPECT_THROW(buffer.tensor(DType::f32, {26}), Error);
}

TEST(HostMemory, SaysWhatIsLeftAndRefusesTheImpossible) {
  EXPECT_GT(host_memory().available(), size_t{1} << 20);
  EXPECT_THROW(host_memory().allocate(size_t{1} << 62), Error);
}

TEST(Arena, PlacesTensorsApartAndAligned) {
  CountingMemory memory;
  Arena arena(memory);
  Tensor first, second, third;
  arena.reserve(first, "parameters", DType::f32, {3, 5});
  arena.reserve(second, "activations", DType::bf16, {7});
  arena.reserve(third, "parameters", DType::i32, {1});
  Tensor forward_workspace, backward_workspace;
  arena.reserve_workspace(forward_workspace, 100);
  arena.reserve_workspace(backward_workspace, 300);
  EXPECT_EQ(memory.allocations, 0);
  EXPECT_FALSE(first);
  EXPECT_EQ(arena.total_bytes(), 64u * 3 + 320);  // each rounded up to 64, one workspace for both
  arena.allocate();
  EXPECT_EQ(memory.allocations, 1);

  EXPECT_EQ(first.shape, (Shape{3, 5}));
  EXPECT_EQ(first.dtype, DType::f32);
  EXPECT_EQ(second.dtype, DType::bf16);
  EXPECT_EQ(third.shape, (Shape{1}));
  EXPECT_EQ(forward_workspace.data, backward_workspace.data);
  EXPECT_GE(forward_workspace.bytes(), 300u);
  EXPECT_EQ(forward_workspace.bytes(), backward_workspace.bytes());
  std::vector<Tensor> all = {first, second, third, forward_workspace};
  std::sort(all.begin(), all.end(),
            [](const Tensor& a, const Tensor& b) { return a.data < b.data; });
  for (size_t i = 0; i < all.size(); ++i) {
    EXPECT_TRUE(is_aligned(all[i].data));
    if (i == 0) continue;
    const auto* end = static_cast<const std::byte*>(all[i - 1].data) + all[i - 1].bytes();
    EXPECT_LE(end, all[i].data);
  }
  const auto* start = static_cast<const std::byte*>(all.front().data);
  const auto* end = static_cast<const std::byte*>(all.back().data) + all.back().bytes();
  EXPECT_LE(end - start, static_cast<ptrdiff_t>(arena.total_bytes()));
}

TEST(Arena, TableHasALineForEachCategoryLargestFirst) {
  Arena arena(host_memory());
  Tensor a, b, c, workspace;
  arena.reserve(a, "parameters", DType::f32, {256, 1024});
  arena.reserve(b, "KV cache", DType::bf16, {3, 1024, 1024});
  arena.reserve(c, "parameters", DType::f32, {256, 1024});
  arena.reserve_workspace(workspace, 1024);
  const std::string table = arena.table();
  EXPECT_EQ(table,
            "  KV cache             6.00 MiB\n"
            "  parameters           2.00 MiB\n"
            "  workspace            1.00 KiB\n"
            "  total                8.00 MiB");
}

TEST(Arena, RefusesWhatCannotFitWithTheFigures) {
  CountingMemory memory;
  memory.limit = 4096;
  Arena arena(memory);
  Tensor tensor;
  arena.reserve(tensor, "activations", DType::f32, {1025});
  try {
    arena.allocate();
    FAIL() << "more than there is was allocated";
  } catch (const Error& error) {
    EXPECT_EQ(error.exit_code(), 2);
    EXPECT_THAT(error.what(), HasSubstr("needs 4.06 KiB"));
    EXPECT_THAT(error.what(), HasSubstr("4.00 KiB left"));
    EXPECT_THAT(error.what(), HasSubstr("activations"));
  }
  EXPECT_FALSE(tensor);
  EXPECT_EQ(memory.allocations, 0);
}

TEST(Arena, TakesAllThereIs) {
  CountingMemory memory;
  memory.limit = 4096;
  Arena arena(memory);
  Tensor tensor;
  arena.reserve(tensor, "activations", DType::f32, {1024});
  arena.allocate();
  EXPECT_TRUE(tensor);
}

TEST(Arena, PlansEndWithAllocate) {
  Arena arena(host_memory());
  Tensor tensor;
  arena.allocate();
  EXPECT_THROW(arena.reserve(tensor, "activations", DType::f32, {1}), Error);
  EXPECT_THROW(arena.reserve_workspace(tensor, 1), Error);
}

TEST(FormatBytes, PicksTheUnit) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(1023), "1023 B");
  EXPECT_EQ(format_bytes(1024), "1.00 KiB");
  EXPECT_EQ(format_bytes(size_t{3} << 29), "1.50 GiB");
  EXPECT_EQ(format_bytes(size_t{5} << 50), "5120.00 TiB");
}

}  // namespace

}  // namespace cria
