#include <cmath>
#include <limits>

#include <omp.h>

#include "ops/op_test.h"

namespace cria::testing {

namespace {

class SumOfSquaresTest : public OpTest {
 protected:
  double run(Tensor input) {
    const DeviceTensor output(*this, {1}, DType::f32);
    const Workspace workspace(*this, backend().sum_of_squares_workspace_bytes(input.size()));
    backend().sum_of_squares(
        {.output = output.tensor(), .input = input, .workspace = workspace.tensor()});
    return output.values()[0];
  }
  double run(const DeviceTensor& input) { return run(input.tensor()); }
};

CRIA_OP_TEST_SUITE(SumOfSquaresTest);

TEST_P(SumOfSquaresTest, AgreesWithDoublePrecision) {
  for (const int64_t n : {1, 3, 63, 64, 65, 288, 4095, 4096, 4097, 300001}) {
    SCOPED_TRACE(fmt::format("n {}", n));
    const auto values = random_values(n, 1);
    double expected = 0;
    for (const double v : values) expected += v * v;
    const DeviceTensor input(*this, {n}, values);
    expect_close({run(input)}, {expected}, tolerance("sum_of_squares", dtype()));
  }
}

// Parts of a flat buffer begin at any element.
TEST_P(SumOfSquaresTest, AnyFirstElement) {
  constexpr int64_t kElements = 9000;
  const auto values = random_values(kElements, 1);
  const DeviceTensor input(*this, {kElements}, values);
  for (const int64_t first : {1, 2, 3, 4, 8}) {
    double expected = 0;
    for (size_t i = first; i < values.size(); ++i) expected += values[i] * values[i];
    expect_close({run(input.tensor().flat(first, kElements - first))}, {expected},
                 tolerance("sum_of_squares", dtype()));
  }
}

// 2^24 and then 1 from each of 510 chunks: fp32 would round each of them away.
TEST_P(SumOfSquaresTest, ChunksAreAddedInDouble) {
  constexpr int64_t kChunk = 4096;
  std::vector<double> values(511 * kChunk);
  for (size_t i = 0; i < values.size(); i += kChunk) values[i] = 1.0;
  values[0] = 0x1p12;
  const DeviceTensor input(*this, {static_cast<int64_t>(values.size())}, values);
  EXPECT_EQ(run(input), 0x1p24 + 510);
}

TEST_P(SumOfSquaresTest, NothingSumsToZero) {
  const DeviceTensor input(*this, {0}, std::vector<double>{});
  EXPECT_EQ(run(input), 0.0);
}

TEST_P(SumOfSquaresTest, BitsDoNotDependOnTheThreadCount) {
  constexpr int64_t kElements = 123457;
  const DeviceTensor input(*this, {kElements}, random_values(kElements, 2));
  const int threads = omp_get_max_threads();
  std::vector<double> sums;
  for (const int count : {1, 2, 5}) {
    omp_set_num_threads(count);
    sums.push_back(run(input));
  }
  omp_set_num_threads(threads);
  EXPECT_EQ(sums[0], sums[1]);
  EXPECT_EQ(sums[0], sums[2]);
}

TEST_P(SumOfSquaresTest, NotFiniteWhenAnElementIsNot) {
  constexpr int64_t kElements = 10000;
  for (const double bad :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(),
        -std::numeric_limits<double>::infinity()}) {
    for (const size_t at : {0, 4096, 9999}) {
      auto values = random_values(kElements, 3);
      values[at] = bad;
      const DeviceTensor input(*this, {kElements}, values);
      EXPECT_FALSE(std::isfinite(run(input)));
    }
  }
}

}  // namespace

}  // namespace cria::testing
