#include <cmath>

#include "ops/op_test.h"

namespace cria::testing {

namespace {

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

std::vector<double> reference_forward(const std::vector<double>& gate_up, int64_t columns) {
  std::vector<double> output;
  for (size_t row = 0; row < gate_up.size(); row += 2 * columns) {
    for (int64_t j = 0; j < columns; ++j) {
      const double x = gate_up[row + j];
      output.push_back(x * sigmoid(x) * gate_up[row + columns + j]);
    }
  }
  return output;
}

std::vector<double> reference_backward(const std::vector<double>& output_gradient,
                                       const std::vector<double>& gate_up, int64_t columns) {
  std::vector<double> gradient(gate_up.size());
  for (size_t t = 0; t * columns < output_gradient.size(); ++t) {
    for (int64_t j = 0; j < columns; ++j) {
      const size_t gate = t * 2 * columns + j;
      const size_t up = gate + columns;
      const double x = gate_up[gate];
      const double s = sigmoid(x);
      const double dy = output_gradient[t * columns + j];
      gradient[gate] = dy * gate_up[up] * s * (1 + x * (1 - s));
      gradient[up] = dy * x * s;
    }
  }
  return gradient;
}

class SwigluTest : public OpTest {};
CRIA_OP_TEST_SUITE(SwigluTest);

struct Sizes {
  int64_t tokens, columns;
};

std::vector<Sizes> sizes() {
  std::vector<Sizes> result = {{2, 1101}, {3, 2056}};  // wider than a GPU's block
  for (const int64_t tokens : {1, 7, 130}) {
    for (const int64_t columns : {1, 3, 63, 64, 65, 288}) result.push_back({tokens, columns});
  }
  return result;
}

TEST_P(SwigluTest, ForwardAndBackward) {
  for (const auto [tokens, columns] : sizes()) {
    SCOPED_TRACE(fmt::format("T {} f {}", tokens, columns));
    const auto gate_up = random_values(tokens * 2 * columns, 1);
    const auto output_gradient = random_values(tokens * columns, 2);
    const DeviceTensor gate_up_in(*this, {tokens, 2 * columns}, gate_up);
    const DeviceTensor output(*this, {tokens, columns});
    backend().swiglu_forward({.output = output.tensor(), .gate_up = gate_up_in.tensor()});
    expect_close(output, reference_forward(gate_up, columns), tolerance("swiglu_forward", dtype()));

    const auto expected = reference_backward(output_gradient, gate_up, columns);
    const DeviceTensor output_gradient_in(*this, {tokens, columns}, output_gradient);
    const DeviceTensor gradient(*this, {tokens, 2 * columns});
    backend().swiglu_backward({.gate_up_gradient = gradient.tensor(),
                               .output_gradient = output_gradient_in.tensor(),
                               .gate_up = gate_up_in.tensor()});
    expect_close(gradient, expected, tolerance("swiglu_backward", dtype()));

    // In place: the same bits.
    backend().swiglu_backward({.gate_up_gradient = gate_up_in.tensor(),
                               .output_gradient = output_gradient_in.tensor(),
                               .gate_up = gate_up_in.tensor()});
    EXPECT_EQ(gate_up_in.bytes(), gradient.bytes());

    // With the output of the forward pass in the place of its gradient.
    const DeviceTensor gate_up_again(*this, {tokens, 2 * columns}, gate_up);
    backend().swiglu_backward({.gate_up_gradient = gate_up_again.tensor(),
                               .output = output_gradient_in.tensor(),
                               .output_gradient = output_gradient_in.tensor(),
                               .gate_up = gate_up_again.tensor()});
    EXPECT_EQ(gate_up_again.bytes(), gradient.bytes());
    EXPECT_EQ(output_gradient_in.bytes(), output.bytes());
  }
}

// Far out the sigmoid is exactly 0 or 1, and nothing overflows on the way.
TEST_P(SwigluTest, SaturatesAtLargeGates) {
  const std::vector<double> gates = {200, -200, 1e4, -1e4, 0};
  std::vector<double> gate_up = gates;
  gate_up.insert(gate_up.end(), gates.size(), 2.0);
  const DeviceTensor in(*this, {1, 10}, gate_up);
  const DeviceTensor ones(*this, {1, 5}, std::vector<double>(5, 1.0));
  const DeviceTensor output(*this, {1, 5});
  backend().swiglu_forward({.output = output.tensor(), .gate_up = in.tensor()});
  const auto expected =
      DeviceTensor(*this, {1, 5}, std::vector<double>{400, 0, 2e4, 0, 0}).values();
  expect_close(output, expected, tolerance("copy", dtype()));
  const DeviceTensor gradient(*this, {1, 10});
  backend().swiglu_backward({.gate_up_gradient = gradient.tensor(),
                             .output_gradient = ones.tensor(),
                             .gate_up = in.tensor()});
  const std::vector<double> slopes = {2, 0, 2, 0, 1, 200, 0, 1e4, 0, 0};
  expect_close(gradient, DeviceTensor(*this, {1, 10}, slopes).values(), tolerance("copy", dtype()));
}

TEST(SwigluReference, GradientsAreTheSlopeOfTheForwardPass) {
  constexpr int64_t kColumns = 4;
  const auto gate_up = random_values(4 * kColumns, 1);
  const auto output_gradient = random_values(2 * kColumns, 2);
  const auto loss = [&](const std::vector<double>& x) {
    const auto output = reference_forward(x, kColumns);
    double sum = 0;
    for (size_t i = 0; i < output.size(); ++i) sum += output[i] * output_gradient[i];
    return sum;
  };
  const auto gradient = reference_backward(output_gradient, gate_up, kColumns);
  for (size_t i = 0; i < gate_up.size(); ++i) {
    EXPECT_NEAR(gradient[i], central_difference(gate_up, i, loss), 1e-8);
  }
}

}  // namespace

}  // namespace cria::testing
