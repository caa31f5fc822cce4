#include <cmath>
#include <cstring>
#include <limits>

#include "ops/op_test.h"

namespace cria::testing {

class MemoryOps : public OpTest {};
CRIA_OP_TEST_SUITE(MemoryOps);

// Small, odd, and large enough to be shared between threads.
constexpr int64_t kSizes[] = {1, 17, 1000003};

TEST_P(MemoryOps, CopiesKeepEveryByte) {
  for (const int64_t size : kSizes) {
    const DeviceTensor source(*this, {size}, random_values(size, 1));
    const DeviceTensor destination(*this, {size});
    backend().copy(destination.tensor(), source.tensor());
    EXPECT_EQ(destination.bytes(), source.bytes());
  }
}

TEST_P(MemoryOps, HostRoundTripOfIntegers) {
  const std::vector<int32_t> ids = random_integers(1000, -5, 1 << 30, 3);
  EXPECT_EQ(DeviceTensor(*this, {10, 100}, ids).integers(), ids);
}

TEST_P(MemoryOps, ZeroClearsAllAndOnlyThat) {
  for (const int64_t size : kSizes) {
    const DeviceTensor tensor(*this, {size});
    backend().zero(tensor.tensor());
    EXPECT_EQ(tensor.bytes(), std::vector<uint8_t>(tensor.tensor().bytes(), 0));
  }
}

TEST_P(MemoryOps, EmptyTensorsAreNothingToDo) {
  backend().zero({});
  backend().copy({}, {});
  backend().copy_from_host({}, nullptr);
  backend().copy_to_host(nullptr, {});
}

TEST_P(MemoryOps, CastFromFp32) {
  for (const int64_t size : kSizes) {
    std::vector<double> x = random_values(size, 2);
    for (size_t i = 0; i < x.size(); ++i) x[i] *= 1.0 + 0x1p-13 * static_cast<double>(i % 1000);
    const DeviceTensor source(*this, {size}, x, DType::f32);
    const DeviceTensor destination(*this, {size});
    backend().cast(destination.tensor(), source.tensor());
    expect_close(destination, x, tolerance("cast", dtype()));
  }
}

TEST_P(MemoryOps, CastToFp32IsExact) {
  for (const int64_t size : kSizes) {
    const std::vector<double> x = random_values(size, 4);
    const DeviceTensor source(*this, {size}, x);
    const DeviceTensor destination(*this, {size}, DType::f32);
    backend().cast(destination.tensor(), source.tensor());
    expect_close(destination, x, tolerance("copy", dtype()));
  }
}

TEST_P(MemoryOps, CastRoundsTiesToEvenAndKeepsSpecialValues) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  // bf16 has 8 significant bits: 257 and 259 lie halfway between 256, 258 and 260.
  const std::vector<double> x = {257, 259, -257, 0, kInfinity, -kInfinity, 0x1p127 * 1.999, NAN};
  const DeviceTensor source(*this, {8}, x, DType::f32);
  const DeviceTensor destination(*this, {8}, DType::bf16);
  backend().cast(destination.tensor(), source.tensor());
  const std::vector<double> y = destination.values();
  EXPECT_EQ(std::vector<double>(y.begin(), y.begin() + 7),
            (std::vector<double>{256, 260, -256, 0, kInfinity, -kInfinity, kInfinity}));
  EXPECT_TRUE(std::isnan(y[7]));
}

}  // namespace cria::testing
