#include <cmath>

#include <omp.h>

#include "ops/op_test.h"

namespace cria::testing {

namespace {

double round_to(DType dtype, double value) {
  const auto single = static_cast<float>(value);
  return dtype == DType::bf16 ? static_cast<float>(bf16(single)) : single;
}

// Values of magnitude 1 and more, so that no inverse root mean square is above 1 and one absolute
// bound serves every size.
std::vector<double> values_away_from_zero(int64_t count, uint64_t seed) {
  std::vector<double> values = random_values(count, seed, 0.5);
  for (double& v : values) v = round_to(DType::bf16, v < 0 ? v - 1 : v + 1);
  return values;
}

std::vector<double> reference_inverse_rms(const std::vector<double>& h, int64_t columns,
                                          float epsilon) {
  std::vector<double> result;
  for (size_t begin = 0; begin < h.size(); begin += columns) {
    double sum = 0;
    for (int64_t j = 0; j < columns; ++j) sum += h[begin + j] * h[begin + j];
    result.push_back(1 / std::sqrt(sum / static_cast<double>(columns) + epsilon));
  }
  return result;
}

std::vector<double> reference_forward(const std::vector<double>& h,
                                      const std::vector<double>& weight, float epsilon) {
  const auto columns = static_cast<int64_t>(weight.size());
  const auto inverse_rms = reference_inverse_rms(h, columns, epsilon);
  std::vector<double> output(h.size());
  for (size_t i = 0; i < h.size(); ++i) {
    output[i] = h[i] * inverse_rms[i / columns] * weight[i % columns];
  }
  return output;
}

struct Gradients {
  std::vector<double> input;
  std::vector<double> weight;
};

Gradients reference_backward(const std::vector<double>& output_gradient,
                             const std::vector<double>& h, const std::vector<double>& weight,
                             float epsilon) {
  const size_t columns = weight.size();
  const auto inverse_rms = reference_inverse_rms(h, static_cast<int64_t>(columns), epsilon);
  Gradients result{std::vector<double>(h.size()), std::vector<double>(columns)};
  for (size_t row = 0; row < inverse_rms.size(); ++row) {
    const double r = inverse_rms[row];
    double mean = 0;
    for (size_t j = 0; j < columns; ++j) {
      const size_t i = row * columns + j;
      mean += output_gradient[i] * weight[j] * h[i] * r / static_cast<double>(columns);
      result.weight[j] += output_gradient[i] * h[i] * r;
    }
    for (size_t j = 0; j < columns; ++j) {
      const size_t i = row * columns + j;
      result.input[i] = r * (output_gradient[i] * weight[j] - h[i] * r * mean);
    }
  }
  return result;
}

class RmsNormTest : public OpTest {
 protected:
  static constexpr float kEpsilon = 1e-5f;

  void check_forward(int64_t tokens, int64_t columns) {
    SCOPED_TRACE(fmt::format("T {} d {}", tokens, columns));
    const auto input = random_values(tokens * columns, 1);
    const auto weight = random_values(columns, 2);
    const DeviceTensor input_in(*this, {tokens, columns}, input);
    const DeviceTensor weight_in(*this, {columns}, weight);
    const DeviceTensor output(*this, {tokens, columns});
    const DeviceTensor inverse_rms(*this, {tokens}, DType::f32);
    backend().rmsnorm_forward({.output = output.tensor(),
                               .inverse_rms = inverse_rms.tensor(),
                               .input = input_in.tensor(),
                               .weight = weight_in.tensor(),
                               .epsilon = kEpsilon});
    expect_close(output, reference_forward(input, weight, kEpsilon),
                 forward_tolerance(dtype(), columns));
    expect_close(inverse_rms, reference_inverse_rms(input, columns, kEpsilon),
                 forward_tolerance(DType::f32, columns));
  }

  // The table's bounds are for rows of 288 columns: the error of the sum grows with the row, in
  // forward by half a unit of the result for each column.
  Tolerance forward_tolerance(DType result, int64_t columns) const {
    Tolerance bound = tolerance("rmsnorm_forward", result);
    bound.relative += 0x1p-24 * static_cast<double>(std::max<int64_t>(0, columns - 288)) / 2;
    return bound;
  }
  Tolerance backward_tolerance(int64_t columns) const {
    Tolerance bound = tolerance("rmsnorm_backward", dtype());
    bound.absolute *= std::max(1.0, static_cast<double>(columns) / 288);
    return bound;
  }

  // With the residual add, in memory of its own or in place.
  void check_fused(int64_t tokens, int64_t columns, bool in_place) {
    SCOPED_TRACE(fmt::format("T {} d {} in place {}", tokens, columns, in_place));
    const auto input = random_values(tokens * columns, 1);
    const auto residual = random_values(tokens * columns, 3);
    const auto weight = random_values(columns, 2);
    std::vector<double> h(input.size());
    for (size_t i = 0; i < h.size(); ++i) h[i] = round_to(dtype(), input[i] + residual[i]);
    const DeviceTensor input_in(*this, {tokens, columns}, input);
    const DeviceTensor residual_in(*this, {tokens, columns}, residual);
    const DeviceTensor weight_in(*this, {columns}, weight);
    const DeviceTensor output(*this, {tokens, columns});
    const DeviceTensor other(*this, {tokens, columns});
    const DeviceTensor& residual_output = in_place ? residual_in : other;
    const DeviceTensor inverse_rms(*this, {tokens}, DType::f32);
    backend().rmsnorm_forward({.output = output.tensor(),
                               .residual_output = residual_output.tensor(),
                               .inverse_rms = inverse_rms.tensor(),
                               .input = input_in.tensor(),
                               .residual = residual_in.tensor(),
                               .weight = weight_in.tensor(),
                               .epsilon = kEpsilon});
    expect_close(residual_output, h, tolerance("copy", dtype()));
    expect_close(output, reference_forward(h, weight, kEpsilon),
                 forward_tolerance(dtype(), columns));
  }

  enum class Residual { none, separate, in_place };

  void check_backward(int64_t tokens, int64_t columns, Residual mode, DType gradient_dtype) {
    SCOPED_TRACE(fmt::format("T {} d {} residual {} gradient {}", tokens, columns,
                             static_cast<int>(mode), name_of(gradient_dtype)));
    const auto h = values_away_from_zero(tokens * columns, 1);
    const auto weight = random_values(columns, 2);
    const auto output_gradient = random_values(tokens * columns, 3);
    const auto residual_gradient = random_values(tokens * columns, 4);
    const auto weight_gradient_before = random_values(columns, 5);
    const DeviceTensor h_in(*this, {tokens, columns}, h);
    const DeviceTensor weight_in(*this, {columns}, weight);
    const DeviceTensor output_gradient_in(*this, {tokens, columns}, output_gradient);
    const DeviceTensor residual_in(*this, {tokens, columns}, residual_gradient);
    const DeviceTensor inverse_rms(*this, {tokens}, reference_inverse_rms(h, columns, kEpsilon),
                                   DType::f32);
    const DeviceTensor other(*this, {tokens, columns});
    const DeviceTensor& input_gradient = mode == Residual::in_place ? residual_in : other;
    const DeviceTensor weight_gradient(*this, {columns}, weight_gradient_before, gradient_dtype);
    const Workspace workspace(*this, backend().rmsnorm_backward_workspace_bytes(tokens, columns));
    backend().rmsnorm_backward(
        {.input_gradient = input_gradient.tensor(),
         .weight_gradient = weight_gradient.tensor(),
         .output_gradient = output_gradient_in.tensor(),
         .residual_gradient = mode == Residual::none ? Tensor{} : residual_in.tensor(),
         .input = h_in.tensor(),
         .inverse_rms = inverse_rms.tensor(),
         .weight = weight_in.tensor(),
         .workspace = workspace.tensor()});

    Gradients expected = reference_backward(output_gradient, h, weight, kEpsilon);
    for (size_t i = 0; i < h.size() && mode != Residual::none; ++i) {
      expected.input[i] += residual_gradient[i];
    }
    for (size_t j = 0; j < weight.size(); ++j) expected.weight[j] += weight_gradient_before[j];
    expect_close(input_gradient, expected.input, backward_tolerance(columns));
    Tolerance bound = tolerance("rmsnorm_weight_gradient", gradient_dtype);
    bound.absolute *= std::max(1.0, static_cast<double>(tokens) / 130.0);
    expect_close(weight_gradient, expected.weight, bound);
  }
};

CRIA_OP_TEST_SUITE(RmsNormTest);

TEST_P(RmsNormTest, Forward) {
  for (const int64_t tokens : {1, 7, 130}) {
    for (const int64_t columns : {1, 3, 63, 64, 65, 288}) {
      check_forward(tokens, columns);
      check_fused(tokens, columns, false);
      check_fused(tokens, columns, true);
    }
  }
}

TEST_P(RmsNormTest, Backward) {
  for (const int64_t tokens : {1, 7, 130}) {
    for (const int64_t columns : {1, 3, 63, 64, 65, 288}) {
      check_backward(tokens, columns, Residual::none, dtype());
      check_backward(tokens, columns, Residual::separate, dtype());
      check_backward(tokens, columns, Residual::in_place, dtype());
      check_backward(tokens, columns, Residual::separate, DType::f32);
    }
  }
}

// Rows that take every thread of a block more than one vector, aligned or element by element.
TEST_P(RmsNormTest, RowsWiderThanABlock) {
  for (const int64_t columns : {1101, 2056}) {
    check_forward(3, columns);
    check_fused(3, columns, true);
    check_backward(5, columns, Residual::in_place, dtype());
  }
}

// More rows than the smallest chunks of the weight gradient can hold.
TEST_P(RmsNormTest, BackwardOverManyRows) {
  check_backward(2500, 5, Residual::separate, DType::f32);
}

TEST_P(RmsNormTest, WeightGradientDoesNotDependOnTheThreadCount) {
  constexpr int64_t kTokens = 200, kColumns = 65;
  const DeviceTensor h(*this, {kTokens, kColumns}, values_away_from_zero(kTokens * kColumns, 1));
  const DeviceTensor weight(*this, {kColumns}, random_values(kColumns, 2));
  const DeviceTensor output_gradient(*this, {kTokens, kColumns},
                                     random_values(kTokens * kColumns, 3));
  const DeviceTensor inverse_rms(*this, {kTokens}, std::vector<double>(kTokens, 0.9), DType::f32);
  const Workspace workspace(*this, backend().rmsnorm_backward_workspace_bytes(kTokens, kColumns));
  const int threads = omp_get_max_threads();
  std::vector<std::vector<uint8_t>> bits;
  for (const int count : {1, 2, 3}) {
    omp_set_num_threads(count);
    const DeviceTensor input_gradient(*this, {kTokens, kColumns});
    const DeviceTensor weight_gradient(*this, {kColumns}, std::vector<double>(kColumns),
                                       DType::f32);
    backend().rmsnorm_backward({.input_gradient = input_gradient.tensor(),
                                .weight_gradient = weight_gradient.tensor(),
                                .output_gradient = output_gradient.tensor(),
                                .input = h.tensor(),
                                .inverse_rms = inverse_rms.tensor(),
                                .weight = weight.tensor(),
                                .workspace = workspace.tensor()});
    bits.push_back(weight_gradient.bytes());
  }
  omp_set_num_threads(threads);
  EXPECT_EQ(bits[0], bits[1]);
  EXPECT_EQ(bits[0], bits[2]);
}

// A row comes out with the same bits wherever it stands in the batch.
TEST_P(RmsNormTest, RowsAreIndependent) {
  constexpr int64_t kColumns = 63;
  const auto row = random_values(kColumns, 1);
  std::vector<double> batch = random_values(20 * kColumns, 2);
  std::copy(row.begin(), row.end(), batch.begin() + 13 * kColumns);
  const DeviceTensor weight(*this, {kColumns}, random_values(kColumns, 3));
  const auto run = [&](const std::vector<double>& values, int64_t tokens, int64_t wanted) {
    const DeviceTensor input(*this, {tokens, kColumns}, values);
    const DeviceTensor output(*this, {tokens, kColumns});
    const DeviceTensor inverse_rms(*this, {tokens}, DType::f32);
    backend().rmsnorm_forward({.output = output.tensor(),
                               .inverse_rms = inverse_rms.tensor(),
                               .input = input.tensor(),
                               .weight = weight.tensor()});
    const auto bytes = output.bytes();
    const auto row_bytes = static_cast<int64_t>(kColumns * size_of(dtype()));
    return std::vector<uint8_t>(bytes.begin() + wanted * row_bytes,
                                bytes.begin() + (wanted + 1) * row_bytes);
  };
  EXPECT_EQ(run(row, 1, 0), run(batch, 20, 13));
}

TEST(RmsNormReference, GradientsAreTheSlopeOfTheForwardPass) {
  constexpr int64_t kColumns = 5;
  const auto h = random_values(2 * kColumns, 1);
  const auto weight = random_values(kColumns, 2);
  const auto output_gradient = random_values(2 * kColumns, 3);
  const auto loss = [&](const std::vector<double>& x, const std::vector<double>& w) {
    const auto output = reference_forward(x, w, 1e-5f);
    double sum = 0;
    for (size_t i = 0; i < output.size(); ++i) sum += output[i] * output_gradient[i];
    return sum;
  };
  const Gradients gradients = reference_backward(output_gradient, h, weight, 1e-5f);
  for (size_t i = 0; i < h.size(); ++i) {
    EXPECT_NEAR(gradients.input[i],
                central_difference(h, i, [&](const auto& x) { return loss(x, weight); }), 1e-7);
  }
  for (size_t j = 0; j < weight.size(); ++j) {
    EXPECT_NEAR(gradients.weight[j],
                central_difference(weight, j, [&](const auto& w) { return loss(h, w); }), 1e-7);
  }
}

}  // namespace

}  // namespace cria::testing
