#include "ops/op_test.h"
#include "ops/reference_attention.h"

namespace cria::testing {

namespace {

using Values = std::vector<double>;

// Which rows of the stream are looked at, and where their sequences start.
struct Chosen {
  std::vector<int32_t> rows, starts;
  int64_t columns = 0;  // as many as the longest context has, and `spare` more
};

// Every third token, the first and the last of each sequence among them.
Chosen chosen_rows(const AttentionShape& shape, int64_t spare) {
  Chosen chosen{.columns = shape.max_sequence_length() + spare};
  for (size_t s = 0; s + 1 < shape.offsets.size(); ++s) {
    for (int32_t row = shape.offsets[s]; row < shape.offsets[s + 1]; ++row) {
      if ((row - shape.offsets[s]) % 3 != 0 && row + 1 < shape.offsets[s + 1]) continue;
      chosen.rows.push_back(row);
      chosen.starts.push_back(shape.offsets[s]);
    }
  }
  return chosen;
}

Values reference_maxima(const AttentionShape& shape, const Values& qkv, const Chosen& chosen,
                        Values maxima) {
  for_each_attention_row(shape, qkv, [&](int64_t, int64_t row, int64_t, const Values& p, double) {
    for (size_t r = 0; r < chosen.rows.size(); ++r) {
      if (chosen.rows[r] != row) continue;
      for (size_t c = 0; c < p.size(); ++c) {
        double& most = maxima[r * static_cast<size_t>(chosen.columns) + c];
        most = std::max(most, p[c]);
      }
    }
  });
  return maxima;
}

const AttentionShape kShapes[] = {
    attention_shape(1, 1, 2, {1}), attention_shape(4, 2, 32, {5, 33, 1}),
    attention_shape(6, 3, 20, {17, 9}), attention_shape(4, 1, 66, {40}),
    attention_shape(3, 3, 128, {7, 0, 12})};

}  // namespace

class AttentionMaximaOp : public OpTest {};
CRIA_OP_TEST_SUITE(AttentionMaximaOp);

TEST_P(AttentionMaximaOp, AreThoseOfTheChosenRowsOverHeadsAndLayers) {
  int64_t spare = 0;  // of every other shape the last weight of all counts
  for (const AttentionShape& shape : kShapes) {
    SCOPED_TRACE(Shape({shape.tokens(), shape.n_heads, shape.head_dim}).to_string());
    const Chosen chosen = chosen_rows(shape, spare);
    const auto count = static_cast<int64_t>(chosen.rows.size());
    const DeviceTensor rows(*this, {count}, chosen.rows), starts(*this, {count}, chosen.starts);
    // What stands behind a row's own token must stay; some weights of "layers before" are larger.
    Values expected(static_cast<size_t>(count * chosen.columns));
    for (size_t i = 0; i < expected.size(); ++i) expected[i] = i % 4 == 0 ? 0.75 : 0.0;
    const DeviceTensor maxima(*this, {count, chosen.columns}, expected, DType::f32);
    for (const uint64_t layer : {1u, 2u}) {
      const Values values = random_values(shape.tokens() * shape.qkv_columns(), layer);
      const AttentionResult attention = reference_attention(shape, values);
      expected = reference_maxima(shape, values, chosen, std::move(expected));
      const DeviceTensor qkv(*this, {shape.tokens(), shape.qkv_columns()}, values);
      const DeviceTensor log_sum_exp(*this, {shape.n_heads, shape.tokens()}, attention.log_sum_exp,
                                     DType::f32);
      backend().attention_maxima({.maxima = maxima.tensor(),
                                  .qkv = qkv.tensor(),
                                  .log_sum_exp = log_sum_exp.tensor(),
                                  .rows = rows.tensor(),
                                  .starts = starts.tensor(),
                                  .n_heads = shape.n_heads,
                                  .n_kv_heads = shape.n_kv_heads,
                                  .scale = shape.scale()});
    }
    expect_close(maxima, expected, tolerance("attention_maxima", dtype()));
    spare = 3 - spare;
  }
}

// Nothing chosen, nothing done.
TEST_P(AttentionMaximaOp, TakesNoRows) {
  const DeviceTensor maxima(*this, {0, 4}, Values{}, DType::f32), qkv(*this, {2, 6}, Values(12));
  const DeviceTensor log_sum_exp(*this, {1, 2}, Values(2), DType::f32);
  const DeviceTensor rows(*this, {0}, std::vector<int32_t>{});
  const DeviceTensor starts(*this, {0}, std::vector<int32_t>{});
  backend().attention_maxima({.maxima = maxima.tensor(),
                              .qkv = qkv.tensor(),
                              .log_sum_exp = log_sum_exp.tensor(),
                              .rows = rows.tensor(),
                              .starts = starts.tensor(),
                              .n_heads = 1,
                              .n_kv_heads = 1});
}

}  // namespace cria::testing
