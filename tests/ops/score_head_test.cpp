#include "ops/op_test.h"

namespace cria::testing {

namespace {

struct Sizes {
  int64_t tokens, hidden_size, rows;
};
constexpr Sizes kSizes[] = {{1, 1, 1},       {7, 5, 3},    {64, 131, 40},
                            {130, 288, 130}, {5, 1101, 3}, {9, 33, 0}};

// Distinct rows in no particular order: multiples of a number prime to T.
std::vector<int32_t> distinct_rows(int64_t count, int64_t tokens) {
  std::vector<int32_t> rows;
  for (int64_t i = 0; i < count; ++i) rows.push_back(static_cast<int32_t>((i * 37 + 2) % tokens));
  return rows;
}

using Values = std::vector<double>;

Values reference_scores(const Values& hidden, const Values& weight,
                        const std::vector<int32_t>& rows) {
  Values scores(rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    for (size_t j = 0; j < weight.size(); ++j) {
      scores[i] += hidden[static_cast<size_t>(rows[i]) * weight.size() + j] * weight[j];
    }
  }
  return scores;
}

struct Gradients {
  Values hidden;
  Values weight;
};

Gradients reference_gradients(const Values& hidden, const Values& weight,
                              const std::vector<int32_t>& rows, const Values& score_gradients,
                              const Values& weight_gradient) {
  Gradients result{.hidden = Values(hidden.size()), .weight = weight_gradient};
  for (size_t i = 0; i < rows.size(); ++i) {
    for (size_t j = 0; j < weight.size(); ++j) {
      const size_t at = static_cast<size_t>(rows[i]) * weight.size() + j;
      result.hidden[at] = score_gradients[i] * weight[j];
      result.weight[j] += score_gradients[i] * hidden[at];
    }
  }
  return result;
}

}  // namespace

class ScoreHead : public OpTest {
 public:
  Tolerance sum_tolerance(int64_t terms, DType output) const {
    const Tolerance per_term = tolerance("score_head", output);
    return {per_term.absolute * static_cast<double>(terms), per_term.relative};
  }
};
CRIA_OP_TEST_SUITE(ScoreHead);

TEST_P(ScoreHead, Forward) {
  for (const auto [tokens, d, count] : kSizes) {
    SCOPED_TRACE(Shape({tokens, d, count}).to_string());
    const Values h = random_values(tokens * d, 1), w = random_values(d, 2);
    const std::vector<int32_t> indices = distinct_rows(count, tokens);
    const DeviceTensor scores(*this, {count}, DType::f32), hidden(*this, {tokens, d}, h);
    const DeviceTensor weight(*this, {1, d}, w), rows(*this, {count}, indices);
    backend().score_head_forward({.scores = scores.tensor(),
                                  .hidden = hidden.tensor(),
                                  .weight = weight.tensor(),
                                  .rows = rows.tensor()});
    expect_close(scores, reference_scores(h, w, indices), sum_tolerance(d, DType::f32));
  }
}

TEST_P(ScoreHead, Backward) {
  for (const auto [tokens, d, count] : kSizes) {
    for (const DType gradient_dtype : {DType::f32, DType::bf16}) {
      SCOPED_TRACE(Shape({tokens, d, count}).to_string());
      const Values h = random_values(tokens * d, 3), w = random_values(d, 4);
      const Values ds = random_values(count, 5), before = random_values(d, 6);
      const std::vector<int32_t> indices = distinct_rows(count, tokens);
      const Gradients expected = reference_gradients(h, w, indices, ds, before);
      const DeviceTensor hidden(*this, {tokens, d}, h), weight(*this, {1, d}, w);
      const DeviceTensor rows(*this, {count}, indices);
      const DeviceTensor score_gradients(*this, {count}, ds, DType::f32);
      const DeviceTensor hidden_gradient(*this, {tokens, d});
      const DeviceTensor weight_gradient(*this, {1, d}, before, gradient_dtype);
      const Workspace workspace(*this, backend().score_head_backward_workspace_bytes(tokens, d));
      backend().score_head_backward({.hidden_gradient = hidden_gradient.tensor(),
                                     .weight_gradient = weight_gradient.tensor(),
                                     .score_gradients = score_gradients.tensor(),
                                     .hidden = hidden.tensor(),
                                     .weight = weight.tensor(),
                                     .rows = rows.tensor(),
                                     .workspace = workspace.tensor()});
      expect_close(hidden_gradient, expected.hidden, sum_tolerance(0, dtype()));
      expect_close(weight_gradient, expected.weight, sum_tolerance(count + 1, gradient_dtype));
    }
  }
}

TEST(ScoreHeadReference, GradientsAreThoseOfTheScores) {
  const std::vector<int32_t> rows = distinct_rows(3, 5);
  const Values h = random_values(5 * 4, 1), w = random_values(4, 2), ds = random_values(3, 3);
  const auto loss = [&](const Values& hidden, const Values& weight) {
    const Values scores = reference_scores(hidden, weight, rows);
    double sum = 0;
    for (size_t i = 0; i < scores.size(); ++i) sum += ds[i] * scores[i];
    return sum;
  };
  const Gradients gradients = reference_gradients(h, w, rows, ds, Values(4));
  for (size_t i = 0; i < h.size(); ++i) {
    EXPECT_NEAR(gradients.hidden[i],
                central_difference(h, i, [&](const Values& v) { return loss(v, w); }), 1e-8);
  }
  for (size_t i = 0; i < w.size(); ++i) {
    EXPECT_NEAR(gradients.weight[i],
                central_difference(w, i, [&](const Values& v) { return loss(h, v); }), 1e-8);
  }
}

}  // namespace cria::testing
