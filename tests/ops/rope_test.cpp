#include <cmath>
#include <complex>

#include "ops/op_test.h"

namespace cria::testing {

namespace {

struct RopeShape {
  int64_t tokens;
  int n_heads;
  int n_kv_heads;
  int64_t head_dim;

  int64_t columns() const { return (n_heads + 2 * n_kv_heads) * head_dim; }
  std::string to_string() const {
    return fmt::format("T {} heads {}/{} D {}", tokens, n_heads, n_kv_heads, head_dim);
  }
};

constexpr int64_t kPositions = 40;

class RopeTest : public OpTest {
 protected:
  static std::vector<RopeShape> shapes() {
    std::vector<RopeShape> result;
    for (const int64_t tokens : {1, 7, 130}) {
      for (const int64_t head_dim : {2, 6, 48, 64, 126}) {
        result.push_back({tokens, 4, 2, head_dim});
        result.push_back({tokens, 3, 3, head_dim});
        result.push_back({tokens, 5, 1, head_dim});
      }
    }
    return result;
  }

  // [P, D]: cosines, then sines, of position * 10000^(-2i/D), rounded to fp32.
  static std::vector<double> table(int64_t head_dim) {
    std::vector<double> values(static_cast<size_t>(kPositions * head_dim));
    for (int64_t p = 0; p < kPositions; ++p) {
      for (int64_t i = 0; i < head_dim / 2; ++i) {
        const double angle =
            static_cast<double>(p) *
            std::pow(10000.0, -2.0 * static_cast<double>(i) / static_cast<double>(head_dim));
        values[p * head_dim + i] = static_cast<float>(std::cos(angle));
        values[p * head_dim + head_dim / 2 + i] = static_cast<float>(std::sin(angle));
      }
    }
    return values;
  }

  // Each pair (x1, x2) as a complex number, multiplied by cos + i sin (or its conjugate).
  static std::vector<double> reference(std::vector<double> qkv,
                                       const std::vector<int32_t>& positions,
                                       const RopeShape& shape, bool inverse) {
    const std::vector<double> angles = table(shape.head_dim);
    const int64_t half = shape.head_dim / 2;
    for (int64_t t = 0; t < shape.tokens; ++t) {
      for (int64_t head = 0; head < shape.n_heads + shape.n_kv_heads; ++head) {
        for (int64_t i = 0; i < half; ++i) {
          const int64_t at = positions[t] * shape.head_dim + i;
          const std::complex<double> turn(angles[at],
                                          inverse ? -angles[at + half] : angles[at + half]);
          double& x1 = qkv[t * shape.columns() + head * shape.head_dim + i];
          double& x2 = qkv[t * shape.columns() + head * shape.head_dim + half + i];
          const std::complex<double> turned = std::complex<double>(x1, x2) * turn;
          x1 = turned.real();
          x2 = turned.imag();
        }
      }
    }
    return qkv;
  }

  void forward(const DeviceTensor& qkv, const std::vector<int32_t>& positions,
               const RopeShape& shape) {
    const DeviceTensor positions_in(*this, {shape.tokens}, positions);
    const DeviceTensor table_in(*this, {kPositions, shape.head_dim}, table(shape.head_dim),
                                DType::f32);
    backend().rope_forward({.qkv = qkv.tensor(),
                            .positions = positions_in.tensor(),
                            .table = table_in.tensor(),
                            .n_heads = shape.n_heads,
                            .n_kv_heads = shape.n_kv_heads});
  }

  void backward(const DeviceTensor& qkv_gradient, const std::vector<int32_t>& positions,
                const RopeShape& shape) {
    const DeviceTensor positions_in(*this, {shape.tokens}, positions);
    const DeviceTensor table_in(*this, {kPositions, shape.head_dim}, table(shape.head_dim),
                                DType::f32);
    backend().rope_backward({.qkv_gradient = qkv_gradient.tensor(),
                             .positions = positions_in.tensor(),
                             .table = table_in.tensor(),
                             .n_heads = shape.n_heads,
                             .n_kv_heads = shape.n_kv_heads});
  }
};

CRIA_OP_TEST_SUITE(RopeTest);

TEST_P(RopeTest, ForwardAndBackwardAgreeWithComplexNumbers) {
  for (const RopeShape& shape : shapes()) {
    SCOPED_TRACE(shape.to_string());
    const auto values = random_values(shape.tokens * shape.columns(), 1);
    const auto positions = random_integers(shape.tokens, 0, kPositions, 2);
    const DeviceTensor qkv(*this, {shape.tokens, shape.columns()}, values);
    forward(qkv, positions, shape);
    expect_close(qkv, reference(values, positions, shape, false), tolerance("rope", dtype()));
    const DeviceTensor gradient(*this, {shape.tokens, shape.columns()}, values);
    backward(gradient, positions, shape);
    expect_close(gradient, reference(values, positions, shape, true), tolerance("rope", dtype()));
  }
}

TEST_P(RopeTest, BackwardUndoesForward) {
  for (const RopeShape& shape : shapes()) {
    SCOPED_TRACE(shape.to_string());
    const auto values = random_values(shape.tokens * shape.columns(), 3);
    const auto positions = random_integers(shape.tokens, 0, kPositions, 4);
    const DeviceTensor qkv(*this, {shape.tokens, shape.columns()}, values);
    forward(qkv, positions, shape);
    backward(qkv, positions, shape);
    expect_close(qkv, values, tolerance("rope_round_trip", dtype()));
  }
}

TEST_P(RopeTest, KeepsTheNormOfEachPairAndTheValues) {
  const RopeShape shape{9, 2, 1, 6};
  const auto values = random_values(shape.tokens * shape.columns(), 5);
  const auto positions = random_integers(shape.tokens, 0, kPositions, 6);
  const DeviceTensor qkv(*this, {shape.tokens, shape.columns()}, values);
  forward(qkv, positions, shape);
  const auto turned = qkv.values();
  const double bound = tolerance("rope_round_trip", dtype()).absolute;
  for (int64_t t = 0; t < shape.tokens; ++t) {
    const int64_t row = t * shape.columns();
    for (int64_t head = 0; head < 3; ++head) {
      for (int64_t i = 0; i < 3; ++i) {
        const int64_t at = row + head * 6 + i;
        EXPECT_NEAR(std::hypot(turned[at], turned[at + 3]), std::hypot(values[at], values[at + 3]),
                    bound);
      }
    }
    for (int64_t j = 18; j < 24; ++j) EXPECT_EQ(turned[row + j], values[row + j]);
  }
}

TEST_P(RopeTest, PositionZeroChangesNothing) {
  const RopeShape shape{3, 2, 2, 64};
  const auto values = random_values(shape.tokens * shape.columns(), 7);
  const DeviceTensor qkv(*this, {shape.tokens, shape.columns()}, values);
  forward(qkv, {0, 0, 0}, shape);
  expect_close(qkv, values, tolerance("copy", dtype()));
}

}  // namespace

}  // namespace cria::testing
