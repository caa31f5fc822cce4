#include <algorithm>
#include <optional>

#include "ops/op_test.h"
#include "ops/packed_weight.h"
#include "ops/reference_token_logprob.h"

namespace cria::testing {

namespace {

using Input = reference::TokenLogprobInput;
using Values = std::vector<double>;

// Logits of scale about 2. About a third of the rows has no target.
Input make_input(int64_t tokens, int64_t hidden_size, int64_t vocab_size, double temperature) {
  Input in{.tokens = tokens,
           .hidden_size = hidden_size,
           .vocab_size = vocab_size,
           .hidden = random_values(tokens * hidden_size, 1),
           .head = random_values(vocab_size * hidden_size, 2,
                                 2.0 / std::sqrt(static_cast<double>(hidden_size))),
           .targets = random_integers(tokens, 0, static_cast<int32_t>(vocab_size), 3),
           .logprob_gradients = random_values(tokens, 4, 0.5),
           .temperature = temperature};
  const std::vector<int32_t> kept = random_integers(tokens, 0, 3, 5);
  for (size_t t = 0; t < kept.size(); ++t) {
    if (kept[t] == 0) in.targets[t] = -1 - static_cast<int32_t>(t % 100);
  }
  return in;
}

// Errors in units of the sum of the magnitudes of an element's terms; probabilities below fp32's
// range may vanish.
Values in_units_of(const Values& magnitudes, Values values) {
  for (size_t i = 0; i < values.size(); ++i) values[i] /= std::max(magnitudes[i], 1e-30);
  return values;
}

}  // namespace

class TokenLogprob : public OpTest {
 public:
  enum class Layout { plain, packed };

  // Runs the op in each of its three forms, outputs poisoned.
  struct Run {
    Run(const OpTest& test, const Input& in, Layout layout = Layout::plain,
        DType head_gradient_dtype = DType::f32)
        : backend(test.backend()),
          hidden(test, {in.tokens, in.hidden_size}, in.hidden),
          head(test, {in.vocab_size, in.hidden_size}, in.head),
          targets(test, {in.tokens}, in.targets),
          logprob_gradients(test, {in.tokens}, in.logprob_gradients, DType::f32),
          logprobs(test, {in.tokens}, DType::f32),
          entropies(test, {in.tokens}, DType::f32),
          predictions(test, {in.tokens}, DType::i32),
          hidden_gradient(test, {in.tokens, in.hidden_size}),
          head_gradient(test, {in.vocab_size, in.hidden_size}, Values(in.head.size(), 1.0),
                        head_gradient_dtype),
          workspace(test, test.backend().token_logprob_workspace_bytes(
                              in.tokens, in.hidden_size, in.vocab_size, test.dtype())),
          temperature(static_cast<float>(in.temperature)),
          cliprange(static_cast<float>(in.cliprange)) {
      if (!in.old_logprobs.empty()) {
        old_logprobs.emplace(test, Shape{in.tokens}, in.old_logprobs, DType::f32);
      }
      if (layout == Layout::packed) packed.emplace(test, head);
      weight = packed ? packed->weight() : LinearWeight{.values = head.tensor()};
    }

    void forward() {
      backend.token_logprob_forward({.logprobs = logprobs.tensor(),
                                     .entropies = entropies.tensor(),
                                     .predictions = predictions.tensor(),
                                     .hidden = hidden.tensor(),
                                     .head = weight,
                                     .targets = targets.tensor(),
                                     .temperature = temperature,
                                     .workspace = workspace.tensor()});
    }
    void backward() {
      backend.token_logprob_backward({.hidden_gradient = hidden_gradient.tensor(),
                                      .head_gradient = head_gradient.tensor(),
                                      .hidden = hidden.tensor(),
                                      .head = weight,
                                      .targets = targets.tensor(),
                                      .logprob_gradients = logprob_gradients.tensor(),
                                      .temperature = temperature,
                                      .workspace = workspace.tensor()});
    }
    void fused() {
      backend.token_logprob_fused({.logprobs = logprobs.tensor(),
                                   .entropies = entropies.tensor(),
                                   .predictions = predictions.tensor(),
                                   .hidden_gradient = hidden_gradient.tensor(),
                                   .head_gradient = head_gradient.tensor(),
                                   .hidden = hidden.tensor(),
                                   .head = weight,
                                   .targets = targets.tensor(),
                                   .logprob_gradients = logprob_gradients.tensor(),
                                   .old_logprobs = old_logprobs ? old_logprobs->tensor() : Tensor{},
                                   .cliprange = cliprange,
                                   .max_targets = max_targets,
                                   .temperature = temperature,
                                   .workspace = workspace.tensor()});
    }

    Backend& backend;
    DeviceTensor hidden, head, targets, logprob_gradients;
    DeviceTensor logprobs, entropies, predictions, hidden_gradient, head_gradient;
    std::optional<DeviceTensor> old_logprobs;
    Workspace workspace;
    std::optional<PackedWeight> packed;
    LinearWeight weight;
    float temperature;
    float cliprange;
    int64_t max_targets = 0;
  };

  void expect_forward(const Run& run, const reference::TokenLogprob& expected) const {
    expect_close(run.logprobs, expected.logprobs, tolerance("token_logprob", dtype()));
    expect_close(run.entropies, expected.entropies, tolerance("token_entropy", dtype()));
    EXPECT_EQ(run.predictions.integers(), expected.predictions);
  }

  void expect_backward(const Run& run, const reference::TokenLogprob& expected) const {
    expect_close(in_units_of(expected.hidden_magnitude, run.hidden_gradient.values()),
                 in_units_of(expected.hidden_magnitude, expected.hidden_gradient),
                 tolerance("token_logprob_gradient", dtype()));
    // The gradient was 1 before.
    const DType stored = run.head_gradient.tensor().dtype;
    Values sum = expected.head_gradient, magnitude = expected.head_magnitude;
    for (double& value : sum) value += 1.0;
    for (double& value : magnitude) value += 1.0;
    Tolerance bound = tolerance("token_logprob_gradient", dtype());
    if (stored == DType::bf16)
      bound.absolute += tolerance("token_head_gradient_storage", stored).absolute;
    expect_close(in_units_of(magnitude, run.head_gradient.values()), in_units_of(magnitude, sum),
                 bound);
  }
};
CRIA_OP_TEST_SUITE(TokenLogprob);

// One row; less than a chunk; an odd vocabulary; several chunks and a tail; a vocabulary of more
// than one block of a sum; one for which a GPU takes more threads.
constexpr int kShapeCases = 6;
const Input& shape_case(int index) {
  static const Input cases[kShapeCases] = {
      make_input(1, 16, 7, 1.0),      make_input(50, 33, 131, 1.0),  make_input(128, 64, 320, 0.7),
      make_input(1000, 24, 131, 1.3), make_input(20, 16, 2501, 0.9), make_input(3, 8, 5004, 1.0)};
  return cases[index];
}

TEST_P(TokenLogprob, ForwardAndBackward) {
  for (int index = 0; index < kShapeCases; ++index) {
    Input in = shape_case(index);
    if (index == 0) in.targets[0] = 4;
    SCOPED_TRACE(index);
    const reference::TokenLogprob expected = reference::token_logprob(in);
    for (const Layout layout : {Layout::plain, Layout::packed}) {
      Run run(*this, in, layout);
      run.forward();
      expect_forward(run, expected);
      run.backward();
      expect_backward(run, expected);
    }
  }
}

TEST_P(TokenLogprob, FusedEqualsForwardToTheBit) {
  for (int index = 0; index < kShapeCases; ++index) {
    SCOPED_TRACE(index);
    const Input& in = shape_case(index);
    for (const Layout layout : {Layout::plain, Layout::packed}) {
      Run alone(*this, in, layout), fused(*this, in, layout, dtype());
      alone.forward();
      fused.fused();
      EXPECT_EQ(fused.logprobs.bytes(), alone.logprobs.bytes());
      EXPECT_EQ(fused.entropies.bytes(), alone.entropies.bytes());
      EXPECT_EQ(fused.predictions.bytes(), alone.predictions.bytes());
      expect_backward(fused, reference::token_logprob(in));
    }
  }
}

TEST_P(TokenLogprob, OptionalOutputsMayBeLeftOut) {
  const Input& in = shape_case(1);
  Run all(*this, in), some(*this, in);
  all.forward();
  backend().token_logprob_forward({.logprobs = some.logprobs.tensor(),
                                   .entropies = {},
                                   .predictions = {},
                                   .hidden = some.hidden.tensor(),
                                   .head = some.weight,
                                   .targets = some.targets.tensor(),
                                   .temperature = some.temperature,
                                   .workspace = some.workspace.tensor()});
  EXPECT_EQ(some.logprobs.bytes(), all.logprobs.bytes());
}

// With the number of targets known, whatever it is: fewer launches, the same bits.
TEST_P(TokenLogprob, TheNumberOfTargetsOnlyBoundsTheWork) {
  for (const int index : {1, 3}) {
    for (const int64_t kept : {1, 40, 500}) {
      Input in = shape_case(index);
      int64_t targets = 0;
      for (int32_t& target : in.targets) {
        if (target >= 0 && ++targets > kept) target = -1;
      }
      Run all(*this, in), bounded(*this, in);
      bounded.max_targets = std::min(targets, kept);
      all.fused();
      bounded.fused();
      EXPECT_EQ(bounded.logprobs.bytes(), all.logprobs.bytes());
      EXPECT_EQ(bounded.hidden_gradient.bytes(), all.hidden_gradient.bytes());
      EXPECT_EQ(bounded.head_gradient.bytes(), all.head_gradient.bytes());
    }
  }
}

// A caller who says too few must not get away with it where the number counts.
TEST_P(TokenLogprob, MoreTargetsThanSaidShow) {
  if (GetParam().device == "cpu") GTEST_SKIP() << "the CPU looks for itself";
  const Input& in = shape_case(3);
  Run run(*this, in);
  run.max_targets = 40;  // one chunk
  run.fused();
  const Values logprobs = run.logprobs.values();
  EXPECT_TRUE(
      std::any_of(logprobs.begin(), logprobs.end(), [](double x) { return std::isnan(x); }));
}

TEST_P(TokenLogprob, NoTargetsAtAll) {
  Input in = shape_case(1);
  std::fill(in.targets.begin(), in.targets.end(), -1);
  Run run(*this, in);
  run.fused();
  const auto rows = static_cast<size_t>(in.tokens);
  EXPECT_EQ(run.logprobs.values(), Values(rows, 0.0));
  EXPECT_EQ(run.entropies.values(), Values(rows, 0.0));
  EXPECT_EQ(run.predictions.integers(), std::vector<int32_t>(rows, -1));
  EXPECT_EQ(run.hidden_gradient.values(), Values(in.hidden.size(), 0.0));
  EXPECT_EQ(run.head_gradient.values(), Values(in.head.size(), 1.0));
}

TEST_P(TokenLogprob, RowsWithoutGradientStillGetALogprob) {
  Input in = shape_case(1);
  for (size_t t = 0; t < in.logprob_gradients.size(); t += 2) in.logprob_gradients[t] = 0.0;
  const reference::TokenLogprob expected = reference::token_logprob(in);
  Run run(*this, in);
  run.fused();
  expect_forward(run, expected);
  expect_backward(run, expected);
  // What the pass before left in the workspace does not matter.
  Run backward(*this, in);
  backward.forward();
  backward.backward();
  expect_backward(backward, expected);
}

// Ratios on both sides of the clip range, none within 1% of its ends, and gradients of both signs.
TEST_P(TokenLogprob, ClippedSurrogate) {
  constexpr double kClip = 0.2;
  Input in = shape_case(3);
  in.cliprange = kClip;
  in.old_logprobs = reference::token_logprob(in).logprobs;
  const Values ratios = {1.0, 0.5, 0.79, 0.81, 1.19, 1.21, 2.0};
  for (size_t t = 0; t < in.old_logprobs.size(); ++t) {
    in.old_logprobs[t] -= std::log(ratios[t % ratios.size()]);
  }
  const reference::TokenLogprob expected = reference::token_logprob(in);
  Run run(*this, in);
  run.fused();
  expect_forward(run, expected);
  expect_backward(run, expected);
  // Of a clipped row nothing comes back.
  const Values gradient = run.hidden_gradient.values();
  int clipped = 0;
  for (int64_t t = 0; t < in.tokens; ++t) {
    const auto row = static_cast<size_t>(t);
    const double ratio = ratios[row % ratios.size()], g = in.logprob_gradients[row];
    if (in.targets[row] < 0 || !(g < 0 ? ratio > 1.2 : ratio < 0.8)) continue;
    ++clipped;
    for (int64_t j = t * in.hidden_size; j < (t + 1) * in.hidden_size; ++j) {
      ASSERT_EQ(gradient[static_cast<size_t>(j)], 0.0) << "row " << t;
    }
  }
  EXPECT_GT(clipped, 100);
}

TEST_P(TokenLogprob, ARatioOfOneIsNoRatio) {
  Input in = shape_case(3);
  Run without(*this, in);
  without.fused();
  in.old_logprobs = without.logprobs.values();
  in.cliprange = 0.2;
  Run with(*this, in);
  with.fused();
  EXPECT_EQ(with.hidden_gradient.bytes(), without.hidden_gradient.bytes());
  EXPECT_EQ(with.head_gradient.bytes(), without.head_gradient.bytes());
}

TEST_P(TokenLogprob, TiesGoToTheLowestId) {
  constexpr int64_t d = 8, vocab_size = 45;
  Input in = make_input(3, d, vocab_size, 1.0);
  in.hidden = Values(3 * d, 1.0);
  in.head = Values(vocab_size * d, 0.0);
  in.targets = {0, 40, 44};
  for (const int64_t v : {17, 20, 44}) std::fill_n(in.head.begin() + v * d, d, 0.5);
  Run run(*this, in);
  run.forward();
  EXPECT_EQ(run.predictions.integers(), std::vector<int32_t>(3, 17));
}

// Logits of some hundreds: nothing overflows, far tokens get a log-probability all the same.
TEST_P(TokenLogprob, LargeLogits) {
  constexpr int64_t d = 4, vocab_size = 37;
  Input in = make_input(5, d, vocab_size, 1.0);
  in.hidden = Values(5 * d, 16.0);
  in.head = Values(vocab_size * d, -4.0);
  in.targets = {9, 0, 1, 2, 3};
  std::fill_n(in.head.begin() + 9 * d, d, 4.0);
  Run run(*this, in);
  run.fused();
  const reference::TokenLogprob expected = reference::token_logprob(in);
  EXPECT_EQ(expected.logprobs[1], -512.0);
  expect_forward(run, expected);
  expect_backward(run, expected);
}

TEST_P(TokenLogprob, ARowDoesNotDependOnTheOthers) {
  if (GetParam().device != "cuda" && !__builtin_cpu_supports("avx512bw")) {
    GTEST_SKIP() << "oneDNN's products depend on a row's place without AVX-512";
  }
  const Input& in = shape_case(3);
  for (const Layout layout : {Layout::plain, Layout::packed}) {
    Input all = in;
    all.targets = random_integers(in.tokens, 0, static_cast<int32_t>(in.vocab_size), 6);
    Run together(*this, all, layout);
    together.fused();
    const Values logprobs = together.logprobs.values(), entropies = together.entropies.values();
    const Values gradient = together.hidden_gradient.values();
    // Every other, every seventh, a single row: the rows move to other places in other chunks, and
    // the idle rows hold other values.
    for (const int64_t stride : {2, 7, 998}) {
      Input few = all;
      for (int64_t t = 0; t < in.tokens; ++t) {
        if (t % stride == 1) continue;
        few.targets[static_cast<size_t>(t)] = -1;
        for (int64_t j = 0; j < in.hidden_size; ++j) {
          few.hidden[static_cast<size_t>(t * in.hidden_size + j)] *= -2.0;
        }
      }
      Run apart(*this, few, layout);
      apart.fused();
      const Values few_logprobs = apart.logprobs.values(), few_entropies = apart.entropies.values();
      const Values few_gradient = apart.hidden_gradient.values();
      for (int64_t t = 1; t < in.tokens; t += stride) {
        const auto row = static_cast<size_t>(t);
        ASSERT_EQ(few_logprobs[row], logprobs[row]) << "row " << t << ", one in " << stride;
        ASSERT_EQ(few_entropies[row], entropies[row]) << "row " << t << ", one in " << stride;
        for (int64_t j = t * in.hidden_size; j < (t + 1) * in.hidden_size; ++j) {
          ASSERT_EQ(few_gradient[static_cast<size_t>(j)], gradient[static_cast<size_t>(j)])
              << "row " << t << ", one in " << stride;
        }
      }
    }
  }
}

TEST_P(TokenLogprob, SameBitsEveryTime) {
  const Input& in = shape_case(3);
  Run first(*this, in), second(*this, in);
  first.fused();
  second.fused();
  EXPECT_EQ(first.logprobs.bytes(), second.logprobs.bytes());
  EXPECT_EQ(first.hidden_gradient.bytes(), second.hidden_gradient.bytes());
  EXPECT_EQ(first.head_gradient.bytes(), second.head_gradient.bytes());
}

TEST(TokenLogprobReference, GradientsAreThoseOfTheLogprobs) {
  const Input in = make_input(6, 5, 11, 0.8);
  const reference::TokenLogprob gradients = reference::token_logprob(in);
  const auto loss = [](const Input& input) {
    const Values logprobs = reference::token_logprob(input).logprobs;
    double sum = 0;
    for (size_t t = 0; t < logprobs.size(); ++t) sum += input.logprob_gradients[t] * logprobs[t];
    return sum;
  };
  Input changed = in;
  for (size_t i = 0; i < in.hidden.size(); ++i) {
    const double slope = central_difference(in.hidden, i, [&](const Values& x) {
      changed.hidden = x;
      return loss(changed);
    });
    EXPECT_NEAR(gradients.hidden_gradient[i], slope, 1e-8);
  }
  changed = in;
  for (size_t i = 0; i < in.head.size(); ++i) {
    const double slope = central_difference(in.head, i, [&](const Values& x) {
      changed.head = x;
      return loss(changed);
    });
    EXPECT_NEAR(gradients.head_gradient[i], slope, 1e-8);
  }
}

}  // namespace cria::testing
