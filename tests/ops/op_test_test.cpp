// The harness itself: canaries, poison and comparisons must notice what they are there for.
#include "ops/op_test.h"

#include <cmath>
#include <limits>

#include <gtest/gtest-spi.h>

namespace cria::testing {

namespace {

class HarnessTest : public OpTest {
 protected:
  void SetUp() override {
    if (backend().device() != Device::cpu) GTEST_SKIP() << "stray writes are made by the host";
    test_ = this;
  }

  // What an op does that writes one byte where it must not. EXPECT_NONFATAL_FAILURE runs its
  // statement in a function of its own, hence the static members.
  static void write_before_the_start(int64_t distance) {
    const DeviceTensor tensor(*test_, {5, 3});
    static_cast<uint8_t*>(tensor.tensor().data)[-distance] = 0;
  }
  static void write_past_the_end(int64_t distance) {
    const DeviceTensor tensor(*test_, {5, 3});
    const auto bytes = static_cast<int64_t>(tensor.tensor().bytes());
    static_cast<uint8_t*>(tensor.tensor().data)[bytes - 1 + distance] = 0;
  }
  static void write_past_the_workspace() {
    const Workspace workspace(*test_, 100);
    static_cast<uint8_t*>(workspace.tensor().data)[100] = 0;
  }
  static void compare_poisoned_output() {
    const DeviceTensor output(*test_, {4});
    expect_close(output, {0, 0, 0, 0}, {1e30, 1e30});
  }
  static void compare(double actual, double expected, double absolute) {
    expect_close(std::vector<double>{actual}, {expected}, {absolute, 0});
  }

  static inline const OpTest* test_ = nullptr;
};

CRIA_OP_TEST_SUITE(HarnessTest);

TEST_P(HarnessTest, CanariesCatchStrayWrites) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "AddressSanitizer stops at the write";
#endif
  EXPECT_NONFATAL_FAILURE(write_before_the_start(1), "byte -1 outside a tensor");
  EXPECT_NONFATAL_FAILURE(write_before_the_start(256), "byte -256 outside a tensor");
  EXPECT_NONFATAL_FAILURE(write_past_the_end(1), "outside a tensor");
  EXPECT_NONFATAL_FAILURE(write_past_the_end(256), "outside a tensor");
  EXPECT_NONFATAL_FAILURE(write_past_the_workspace(), "byte 100 outside a tensor of 100 bytes");
}

TEST_P(HarnessTest, WritesInsideAreFine) {
  write_past_the_end(0);
  write_before_the_start(0);
}

TEST_P(HarnessTest, ForgottenOutputsShow) {
  EXPECT_NONFATAL_FAILURE(compare_poisoned_output(), "4 of 4 elements differ");
  const DeviceTensor integers(*this, {2}, DType::i32);
  EXPECT_EQ(integers.integers(), (std::vector<int32_t>{-1, -1}));
}

TEST_P(HarnessTest, ComparisonsKeepTheirBound) {
  compare(1.5, 1.0, 0.5);
  EXPECT_NONFATAL_FAILURE(compare(1.5, 1.0, 0.499), "1 of 1 elements differ");
  EXPECT_NONFATAL_FAILURE(compare(std::nan(""), 1.0, 1e300), "elements differ");
  EXPECT_NONFATAL_FAILURE(compare(std::numeric_limits<double>::infinity(), 1.0, 1e300),
                          "elements differ");
  EXPECT_NONFATAL_FAILURE(tolerance("no such op", DType::f32), "no tolerance for 'no such op'");
}

TEST_P(HarnessTest, InputsComeBackAsTheyWere) {
  const auto values = random_values(77, 1);
  const DeviceTensor tensor(*this, {7, 11}, values);
  EXPECT_EQ(tensor.values(), values);
  const auto integers = random_integers(50, -3, 4, 2);
  const DeviceTensor ids(*this, {50}, integers);
  EXPECT_EQ(ids.integers(), integers);
  for (const int32_t i : integers) EXPECT_TRUE(i >= -3 && i < 4);
}

}  // namespace

}  // namespace cria::testing
