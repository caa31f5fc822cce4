#include "cria/core/tensor.h"

#include <numeric>
#include <vector>

#include <gtest/gtest.h>

namespace cria {

namespace {

TEST(Shape, SizesAndElements) {
  const Shape shape{2, 3, 5};
  EXPECT_EQ(shape.rank(), 3);
  EXPECT_EQ(shape[0], 2);
  EXPECT_EQ(shape[-1], 5);
  EXPECT_EQ(shape[-3], 2);
  EXPECT_EQ(shape.elements(), 30);
  EXPECT_EQ(shape.to_string(), "[2, 3, 5]");
  EXPECT_EQ(Shape{}.elements(), 1);
  EXPECT_EQ(Shape{}.to_string(), "[]");
  EXPECT_EQ((Shape{4, 0}.elements()), 0);
  EXPECT_EQ((Shape{1 << 20, 1 << 20}.elements()), int64_t{1} << 40);
}

TEST(Shape, ComparesSizesAndRank) {
  EXPECT_EQ((Shape{2, 3}), (Shape{2, 3}));
  EXPECT_NE((Shape{2, 3}), (Shape{3, 2}));
  EXPECT_NE((Shape{2, 3}), (Shape{2, 3, 1}));
}

TEST(Shape, RefusesWhatCannotBe) {
  EXPECT_THROW((Shape{1, 2, 3, 4, 5}), Error);
  EXPECT_THROW((Shape{2, -1}), Error);
  const Shape shape{2, 3};
  EXPECT_THROW(shape[2], Error);
  EXPECT_THROW(shape[-3], Error);
}

TEST(Tensor, EmptyStandsForNotAskedFor) {
  const Tensor empty;
  EXPECT_FALSE(empty);
  EXPECT_EQ(empty.size(), 0);
  EXPECT_EQ(empty.bytes(), 0u);
}

TEST(Tensor, ViewsShareTheMemory) {
  std::vector<float> values(24);
  std::iota(values.begin(), values.end(), 0.0f);
  const Tensor tensor = host_tensor(values.data(), {6, 4});
  EXPECT_TRUE(tensor);
  EXPECT_EQ(tensor.dtype, DType::f32);
  EXPECT_EQ(tensor.device, Device::cpu);
  EXPECT_EQ(tensor.size(), 24);
  EXPECT_EQ(tensor.bytes(), 96u);

  const Tensor reshaped = tensor.view({2, 3, 4});
  EXPECT_EQ(reshaped.shape, (Shape{2, 3, 4}));
  EXPECT_EQ(reshaped.data, tensor.data);

  const Tensor rows = tensor.rows(2, 3);
  EXPECT_EQ(rows.shape, (Shape{3, 4}));
  EXPECT_EQ(rows.as<float>()[0], 8.0f);
  EXPECT_EQ(tensor.rows(6, 0).size(), 0);
  EXPECT_EQ(tensor.view({24}).rows(5, 2).shape, (Shape{2}));
  EXPECT_EQ(tensor.view({24}).rows(5, 2).as<float>()[0], 5.0f);

  const Tensor flat = tensor.flat(7, 10);
  EXPECT_EQ(flat.shape, (Shape{10}));
  EXPECT_EQ(flat.as<float>()[0], 7.0f);
  flat.as<float>()[0] = -1.0f;
  EXPECT_EQ(values[7], -1.0f);
}

TEST(Tensor, OffsetsCountElementsNotBytes) {
  std::vector<uint8_t> bytes(16);
  const Tensor tensor{.data = bytes.data(), .dtype = DType::bf16, .shape = {4, 2}};
  EXPECT_EQ(tensor.bytes(), 16u);
  EXPECT_EQ(tensor.rows(3, 1).data, bytes.data() + 12);
  EXPECT_EQ(tensor.flat(5, 1).data, bytes.data() + 10);
}

TEST(Tensor, RefusesViewsThatReachOutside) {
  std::vector<int32_t> values(12);
  const Tensor tensor = host_tensor(values.data(), {4, 3});
  EXPECT_THROW(tensor.view({4, 4}), Error);
  EXPECT_THROW(tensor.rows(2, 3), Error);
  EXPECT_THROW(tensor.rows(-1, 1), Error);
  EXPECT_THROW(tensor.flat(10, 3), Error);
  EXPECT_THROW(tensor.view({2, 2, 3}).rows(0, 1), Error);
  EXPECT_THROW(tensor.as<float>(), Error);
  EXPECT_EQ(tensor.as<int32_t>(), values.data());
}

TEST(Device, Names) {
  EXPECT_EQ(name_of(Device::cpu), "cpu");
  EXPECT_EQ(name_of(Device::cuda), "cuda");
  EXPECT_EQ(name_of(Device::emulated), "emulated");
}

}  // namespace

}  // namespace cria
