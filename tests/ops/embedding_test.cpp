// Embedding: the forward pass is a copy, and the backward pass is a sum in a stated order with
// stated roundings, so both are compared bit for bit.
#include "ops/op_test.h"

namespace cria::testing {

namespace {

class EmbeddingTest : public OpTest {
 protected:
  // What the header says, in the same order and with the same roundings.
  std::vector<double> expected_gradient(const std::vector<double>& gradient,
                                        const std::vector<double>& output_gradient,
                                        const std::vector<int32_t>& ids, int64_t columns,
                                        DType gradient_dtype) {
    std::vector<double> result = gradient;
    for (size_t v = 0; v * columns < gradient.size(); ++v) {
      for (int64_t j = 0; j < columns; ++j) {
        float sum = 0.0f;
        for (size_t t = 0; t < ids.size(); ++t) {
          if (ids[t] == static_cast<int32_t>(v)) {
            sum += static_cast<float>(output_gradient[t * columns + j]);
          }
        }
        double& element = result[v * columns + j];
        const float total = static_cast<float>(element) + sum;
        element = gradient_dtype == DType::bf16 ? static_cast<float>(bf16(total)) : total;
      }
    }
    return result;
  }

  void check(int64_t tokens, int64_t columns, int64_t vocab_size, DType gradient_dtype) {
    SCOPED_TRACE(fmt::format("T {} d {} V {} gradient {}", tokens, columns, vocab_size,
                             name_of(gradient_dtype)));
    const auto ids = random_integers(tokens, 0, static_cast<int32_t>(vocab_size), 1);
    const auto table = random_values(vocab_size * columns, 2);
    const DeviceTensor ids_in(*this, {tokens}, ids);
    const DeviceTensor table_in(*this, {vocab_size, columns}, table);
    const DeviceTensor output(*this, {tokens, columns});
    backend().embedding_forward(
        {.output = output.tensor(), .table = table_in.tensor(), .ids = ids_in.tensor()});
    std::vector<double> rows;
    for (const int32_t id : ids) {
      rows.insert(rows.end(), table.begin() + id * columns, table.begin() + (id + 1) * columns);
    }
    expect_close(output, rows, tolerance("copy", dtype()));

    const auto output_gradient = random_values(tokens * columns, 3);
    const auto gradient = random_values(vocab_size * columns, 4);
    const DeviceTensor output_gradient_in(*this, {tokens, columns}, output_gradient);
    const DeviceTensor table_gradient(*this, {vocab_size, columns}, gradient, gradient_dtype);
    const Workspace workspace(*this,
                              backend().embedding_backward_workspace_bytes(tokens, vocab_size));
    backend().embedding_backward({.table_gradient = table_gradient.tensor(),
                                  .output_gradient = output_gradient_in.tensor(),
                                  .ids = ids_in.tensor(),
                                  .workspace = workspace.tensor()});
    expect_close(table_gradient,
                 expected_gradient(gradient, output_gradient, ids, columns, gradient_dtype),
                 tolerance("embedding_backward", gradient_dtype));
  }
};

CRIA_OP_TEST_SUITE(EmbeddingTest);

TEST_P(EmbeddingTest, OddSizes) {
  for (const int64_t tokens : {1, 7, 130}) {
    for (const int64_t columns : {1, 3, 63, 64, 65, 288}) check(tokens, columns, 11, dtype());
  }
}

TEST_P(EmbeddingTest, RowsWiderThanABlock) { check(40, 1100, 5, dtype()); }

TEST_P(EmbeddingTest, GradientInFp32) { check(130, 65, 300, DType::f32); }

TEST_P(EmbeddingTest, EveryTokenTheSame) { check(500, 17, 1, dtype()); }

TEST_P(EmbeddingTest, NoTokensLeaveTheGradientAlone) {
  const auto gradient = random_values(4 * 3, 4);
  const DeviceTensor table_gradient(*this, {4, 3}, gradient);
  const DeviceTensor output_gradient(*this, {0, 3});
  const DeviceTensor ids(*this, {0}, std::vector<int32_t>{});
  const Workspace workspace(*this, backend().embedding_backward_workspace_bytes(0, 4));
  backend().embedding_backward({.table_gradient = table_gradient.tensor(),
                                .output_gradient = output_gradient.tensor(),
                                .ids = ids.tensor(),
                                .workspace = workspace.tensor()});
  expect_close(table_gradient, gradient, tolerance("copy", dtype()));
}

}  // namespace

}  // namespace cria::testing
