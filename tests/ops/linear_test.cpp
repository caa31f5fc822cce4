#include <cstdlib>

#include <unistd.h>

#include "ops/op_test.h"
#include "ops/packed_weight.h"
#include "ops/reference_linear.h"

namespace cria::testing {

namespace {

struct Sizes {
  int64_t m, n, k;
};

// One row as in decoding, odd sizes, tails of every blocking, more than one block.
constexpr Sizes kSizes[] = {{1, 1, 1},      {1, 96, 64},   {1, 7, 33},   {1, 131, 515},
                            {3, 5, 7},      {16, 131, 33}, {37, 64, 48}, {64, 288, 96},
                            {257, 72, 300}, {130, 17, 515}};

using reference::Matrix;
using reference::multiply;
using reference::transposed;

}  // namespace

class Linear : public OpTest {
 public:
  // Inputs are of scale 1, so that the table's figure counts per term of the sum.
  Tolerance product_tolerance(int64_t terms, DType output) const {
    const Tolerance per_term = tolerance("linear", output);
    return {per_term.absolute * static_cast<double>(terms), per_term.relative};
  }

  // The plain weights, then the packed ones where there are any.
  template <typename Body>
  void with_each_layout(const DeviceTensor& weight, const Body& body) const {
    body(LinearWeight{.values = weight.tensor()});
    body(PackedWeight(*this, weight).weight());
  }
};
CRIA_OP_TEST_SUITE(Linear);

TEST_P(Linear, Forward) {
  for (const auto [m, n, k] : kSizes) {
    SCOPED_TRACE(Shape({m, n, k}).to_string());
    const Matrix x = random_values(m * k, 1);
    const Matrix w = random_values(n * k, 2);
    const Matrix before = random_values(m * n, 3);
    const Matrix product = multiply(x, transposed(w, n, k), m, n, k);
    const Matrix sum = multiply(x, transposed(w, n, k), before, m, n, k);
    const DeviceTensor input(*this, {m, k}, x);
    const DeviceTensor weight(*this, {n, k}, w);
    with_each_layout(weight, [&](const LinearWeight& weights) {
      for (const DType type : {DType::f32, dtype()}) {
        const DeviceTensor output(*this, {m, n}, type);
        backend().linear_forward(
            {.output = output.tensor(), .input = input.tensor(), .weight = weights});
        expect_close(output, product, product_tolerance(k, type));

        const DeviceTensor added(*this, {m, n}, before, type);
        backend().linear_forward({.output = added.tensor(),
                                  .input = input.tensor(),
                                  .weight = weights,
                                  .accumulate = true});
        expect_close(added, sum, product_tolerance(k + 1, type));
      }
    });
  }
}

TEST_P(Linear, BackwardInput) {
  for (const auto [m, n, k] : kSizes) {
    SCOPED_TRACE(Shape({m, n, k}).to_string());
    const Matrix dy = random_values(m * n, 4);
    const Matrix w = random_values(n * k, 5);
    const Matrix before = random_values(m * k, 6);
    const DeviceTensor output_gradient(*this, {m, n}, dy);
    const DeviceTensor weight(*this, {n, k}, w);
    with_each_layout(weight, [&](const LinearWeight& weights) {
      const DeviceTensor gradient(*this, {m, k});
      backend().linear_backward_input({.input_gradient = gradient.tensor(),
                                       .output_gradient = output_gradient.tensor(),
                                       .weight = weights});
      expect_close(gradient, multiply(dy, w, m, k, n), product_tolerance(n, dtype()));

      const DeviceTensor added(*this, {m, k}, before);
      backend().linear_backward_input({.input_gradient = added.tensor(),
                                       .output_gradient = output_gradient.tensor(),
                                       .weight = weights,
                                       .accumulate = true});
      expect_close(added, multiply(dy, w, before, m, k, n), product_tolerance(n + 1, dtype()));
    });
  }
}

TEST_P(Linear, BackwardWeightAddsToTheGradient) {
  for (const auto [m, n, k] : kSizes) {
    SCOPED_TRACE(Shape({m, n, k}).to_string());
    const Matrix dy = random_values(m * n, 7);
    const Matrix x = random_values(m * k, 8);
    const Matrix before = random_values(n * k, 9);
    const Matrix expected = multiply(transposed(dy, m, n), x, before, n, k, m);
    const DeviceTensor output_gradient(*this, {m, n}, dy);
    const DeviceTensor input(*this, {m, k}, x);
    for (const DType type : {DType::f32, dtype()}) {
      const DeviceTensor gradient(*this, {n, k}, before, type);
      backend().linear_backward_weight({.weight_gradient = gradient.tensor(),
                                        .output_gradient = output_gradient.tensor(),
                                        .input = input.tensor()});
      expect_close(gradient, expected, product_tolerance(m + 1, type));
    }
  }
}

// Finite differences of the reference: with f = sum(c * (x w^T)), df/dx = c w and df/dw = c^T x.
TEST(LinearReference, GradientsAreThoseOfTheForwardProduct) {
  constexpr int64_t m = 3, n = 4, k = 5;
  const Matrix x = random_values(m * k, 1), w = random_values(n * k, 2);
  const Matrix c = random_values(m * n, 3);
  const auto loss = [&](const Matrix& input, const Matrix& weight) {
    const Matrix y = multiply(input, transposed(weight, n, k), m, n, k);
    double sum = 0;
    for (size_t i = 0; i < y.size(); ++i) sum += c[i] * y[i];
    return sum;
  };
  const Matrix dx = multiply(c, w, m, k, n);
  const Matrix dw = multiply(transposed(c, m, n), x, n, k, m);
  for (size_t i = 0; i < x.size(); ++i) {
    EXPECT_NEAR(dx[i], central_difference(x, i, [&](const Matrix& v) { return loss(v, w); }), 1e-8);
  }
  for (size_t i = 0; i < w.size(); ++i) {
    EXPECT_NEAR(dw[i], central_difference(w, i, [&](const Matrix& v) { return loss(x, v); }), 1e-8);
  }
}

TEST_P(Linear, SameBitsEveryTime) {
  constexpr int64_t m = 200, n = 131, k = 96;
  const DeviceTensor dy(*this, {m, n}, random_values(m * n, 1));
  const DeviceTensor x(*this, {m, k}, random_values(m * k, 2));
  const DeviceTensor w(*this, {n, k}, random_values(n * k, 3));
  with_each_layout(w, [&](const LinearWeight& weights) {
    std::vector<std::vector<uint8_t>> first;
    for (int time = 0; time < 5; ++time) {
      const DeviceTensor y(*this, {m, n}), dx(*this, {m, k});
      const DeviceTensor dw(*this, {n, k}, random_values(n * k, 4), DType::f32);
      backend().linear_forward({.output = y.tensor(), .input = x.tensor(), .weight = weights});
      backend().linear_backward_input(
          {.input_gradient = dx.tensor(), .output_gradient = dy.tensor(), .weight = weights});
      backend().linear_backward_weight(
          {.weight_gradient = dw.tensor(), .output_gradient = dy.tensor(), .input = x.tensor()});
      const std::vector<std::vector<uint8_t>> now = {y.bytes(), dx.bytes(), dw.bytes()};
      if (time == 0) first = now;
      EXPECT_EQ(now, first);
    }
  });
}

// However the copy is made, which depends on where the rows lie, and whatever was there before.
TEST_P(Linear, PackedAlikeFromAnyAddress) {
  constexpr std::pair<int64_t, int64_t> kWeights[] = {{288, 96}, {64, 32}, {144, 288}, {7, 64}};
  for (const auto& [n, k] : kWeights) {
    SCOPED_TRACE(Shape({n, k}).to_string());
    const Matrix w = random_values(n * k, 1);
    Matrix later(16, 0.0);
    later.insert(later.end(), w.begin(), w.end());
    const DeviceTensor here(*this, {n, k}, w), there(*this, {n * k + 16}, later);
    const auto packed = [&](const Tensor& values) {
      const size_t bytes = backend().linear_packed_bytes(values, LinearUse::forward);
      if (bytes == 0) return std::vector<uint8_t>();
      const DeviceTensor copy(*this, {static_cast<int64_t>(bytes)}, DType::u8);
      backend().linear_pack({.packed = copy.tensor(), .values = values, .use = LinearUse::forward});
      return copy.bytes();
    };
    EXPECT_EQ(packed(here.tensor()), packed(there.tensor().flat(16, n * k).view({n, k})));
  }
}

TEST_P(Linear, NoRowsAreNothingToDo) {
  const DeviceTensor w(*this, {5, 3}, random_values(15, 1));
  const DeviceTensor gradient(*this, {5, 3}, random_values(15, 2), DType::f32);
  Tensor x = w.tensor(), y = w.tensor();
  x.shape = Shape{0, 3};
  y.shape = Shape{0, 5};
  const LinearWeight weight{.values = w.tensor()};
  backend().linear_forward({.output = y, .input = x, .weight = weight});
  backend().linear_backward_input({.input_gradient = x, .output_gradient = y, .weight = weight});
  backend().linear_backward_weight(
      {.weight_gradient = gradient.tensor(), .output_gradient = y, .input = x});
  expect_close(w, random_values(15, 1), tolerance("copy", dtype()));
  expect_close(gradient, random_values(15, 2), tolerance("copy", dtype()));
}

// The tests of this file and of the language head once more, on a machine without bf16 products:
// oneDNN is told so through its environment, which it reads once, hence the second process. Without
// AVX-512 its products depend on a row's place, hence the test left out.
TEST(LinearOnOlderMachines, ProductsInBf16AreWidened) {
  char self[4096] = {};
  ASSERT_GT(readlink("/proc/self/exe", self, sizeof self - 1), 0);
  const std::string command =
      "ONEDNN_MAX_CPU_ISA=AVX2 '" + std::string(self) +
      "' --gtest_brief=1 --gtest_filter='Devices/Linear.*/cpu_*:Devices/TokenLogprob.*/cpu_*"
      "-*ARowDoesNotDependOnTheOthers*'";
  EXPECT_EQ(std::system(command.c_str()), 0);
}

}  // namespace cria::testing
