#include <cmath>
#include <cstring>

#include "cria/core/random.h"

#include "ops/op_test.h"

namespace cria::testing {

namespace {

struct State {
  std::vector<double> w, m, v;
};

// PyTorch's AdamW in double precision.
State reference_step(State s, const std::vector<double>& gradient, const AdamW& args) {
  const double beta1 = args.beta1;
  const double beta2 = args.beta2;
  const auto step = static_cast<double>(args.step);
  for (size_t i = 0; i < s.w.size(); ++i) {
    const double g = args.gradient_scale * gradient[i];
    s.m[i] = beta1 * s.m[i] + (1 - beta1) * g;
    s.v[i] = beta2 * s.v[i] + (1 - beta2) * g * g;
    s.w[i] -= static_cast<double>(args.learning_rate) * args.weight_decay * s.w[i];
    const double m_hat = s.m[i] / (1 - std::pow(beta1, step));
    const double v_hat = s.v[i] / (1 - std::pow(beta2, step));
    s.w[i] -= args.learning_rate * m_hat / (std::sqrt(v_hat) + args.epsilon);
  }
  return s;
}

std::vector<double> squares(std::vector<double> values) {
  for (double& v : values) v *= v;
  return values;
}

// The test's dtype is that of gradients, moments and the copy that products read.
class AdamWTest : public OpTest {
 protected:
  static constexpr float kLearningRate = 0.01f;

  // Moments in bf16, all from the same exact fp32 values: what the words make of them.
  struct Moments {
    std::vector<uint8_t> first, second;
  };
  Moments step_in_pieces(int64_t elements, const std::vector<int64_t>& cuts, int64_t step,
                         uint64_t seed) {
    const DeviceTensor w(*this, {elements}, random_values(elements, 1), DType::f32);
    const DeviceTensor g(*this, {elements}, random_values(elements, 2), DType::f32);
    const DeviceTensor m(*this, {elements}, random_values(elements, 3), DType::bf16);
    const DeviceTensor v(*this, {elements}, squares(random_values(elements, 4)), DType::bf16);
    int64_t begin = 0;
    for (const int64_t end : cuts) {
      const int64_t count = end - begin;
      backend().adamw({.parameters = w.tensor().flat(begin, count),
                       .first_moment = m.tensor().flat(begin, count),
                       .second_moment = v.tensor().flat(begin, count),
                       .gradient = g.tensor().flat(begin, count),
                       .learning_rate = kLearningRate,
                       .step = step,
                       .seed = seed,
                       .first_element = 1000 + static_cast<uint64_t>(begin)});
      begin = end;
    }
    return {m.bytes(), v.bytes()};
  }
};

CRIA_OP_TEST_SUITE(AdamWTest);

TEST_P(AdamWTest, AgreesWithTheFormulas) {
  for (const int64_t n : {1, 3, 63, 64, 65, 1023, 20000}) {
    for (const int64_t step : {1, 2, 1000}) {
      for (const float decay : {0.0f, 0.1f}) {
        SCOPED_TRACE(fmt::format("n {} step {} decay {}", n, step, decay));
        const State before{random_values(n, 1), random_values(n, 2, 0.1),
                           DeviceTensor(*this, {n}, squares(random_values(n, 3, 0.1))).values()};
        const auto gradient = random_values(n, 4);
        const DeviceTensor w(*this, {n}, before.w, DType::f32);
        const DeviceTensor copy(*this, {n}, DType::bf16);
        const DeviceTensor m(*this, {n}, before.m);
        const DeviceTensor v(*this, {n}, before.v);
        const DeviceTensor g(*this, {n}, gradient);
        const AdamW args{.parameters = w.tensor(),
                         .compute_copy = dtype() == DType::bf16 ? copy.tensor() : Tensor{},
                         .first_moment = m.tensor(),
                         .second_moment = v.tensor(),
                         .gradient = g.tensor(),
                         .learning_rate = kLearningRate,
                         .weight_decay = decay,
                         .gradient_scale = 0.3f,
                         .step = step};
        backend().adamw(args);
        const State after = reference_step(before, gradient, args);
        expect_close(w, after.w, tolerance("adamw_parameters", DType::f32));
        expect_close(m, after.m, tolerance("adamw_moments", dtype()));
        expect_close(v, after.v, tolerance("adamw_moments", dtype()));
        if (dtype() == DType::bf16) {
          EXPECT_EQ(copy.bytes(), DeviceTensor(*this, {n}, w.values(), DType::bf16).bytes());
        }
      }
    }
  }
}

// fp32 moments of a bf16 gradient and bf16 moments of an fp32 one.
TEST_P(AdamWTest, GradientAndMomentsOfDifferentTypes) {
  constexpr int64_t kElements = 301;
  const DType moment_dtype = dtype() == DType::f32 ? DType::bf16 : DType::f32;
  const State before{random_values(kElements, 1), random_values(kElements, 2, 0.1),
                     std::vector<double>(kElements, 0.25)};
  const auto gradient = random_values(kElements, 4);
  const DeviceTensor w(*this, {kElements}, before.w, DType::f32);
  const DeviceTensor m(*this, {kElements}, before.m, moment_dtype);
  const DeviceTensor v(*this, {kElements}, before.v, moment_dtype);
  const DeviceTensor g(*this, {kElements}, gradient);
  const AdamW args{.parameters = w.tensor(),
                   .first_moment = m.tensor(),
                   .second_moment = v.tensor(),
                   .gradient = g.tensor(),
                   .learning_rate = kLearningRate,
                   .weight_decay = 0.1f,
                   .step = 7};
  backend().adamw(args);
  const State after = reference_step(before, gradient, args);
  expect_close(w, after.w, tolerance("adamw_parameters", DType::f32));
  expect_close(m, after.m, tolerance("adamw_moments", moment_dtype));
  expect_close(v, after.v, tolerance("adamw_moments", moment_dtype));
}

// Twenty steps from zero moments, kept in fp32: errors must not build up beyond those of twenty
// steps.
TEST_P(AdamWTest, ManySteps) {
  constexpr int64_t kElements = 300;
  constexpr int64_t kSteps = 20;
  State state{random_values(kElements, 1), std::vector<double>(kElements),
              std::vector<double>(kElements)};
  const DeviceTensor w(*this, {kElements}, state.w, DType::f32);
  const DeviceTensor m(*this, {kElements}, state.m, DType::f32);
  const DeviceTensor v(*this, {kElements}, state.v, DType::f32);
  for (int64_t step = 1; step <= kSteps; ++step) {
    const auto gradient = random_values(kElements, 10 + static_cast<uint64_t>(step));
    const DeviceTensor g(*this, {kElements}, gradient);
    const AdamW args{.parameters = w.tensor(),
                     .first_moment = m.tensor(),
                     .second_moment = v.tensor(),
                     .gradient = g.tensor(),
                     .learning_rate = kLearningRate,
                     .weight_decay = 0.1f,
                     .step = step};
    backend().adamw(args);
    state = reference_step(state, gradient, args);
  }
  Tolerance bound = tolerance("adamw_parameters", DType::f32);
  expect_close(w, state.w, {kSteps * bound.absolute, kSteps * bound.relative});
}

// m = 0.5 g is exact in fp32, so the bits of the rounded moment follow from the words alone.
TEST_P(AdamWTest, RoundsMomentsWithTheWordsOfTheHeader) {
  constexpr int64_t kElements = 3000;
  constexpr uint64_t kSeed = 0x1234567890abcdefull;
  constexpr uint64_t kFirst = (uint64_t{1} << 40) + 5;
  const Random values(9, Purpose::data_synthesis);
  std::vector<double> gradient(kElements);
  for (size_t i = 0; i < gradient.size(); ++i) {
    gradient[i] = std::round(values.uniform(i) * 4095.0) / 4096.0 + 0.5;  // g * g is exact too
  }
  const std::vector<double> zeros(kElements);
  const DeviceTensor w(*this, {kElements}, zeros, DType::f32);
  const DeviceTensor m(*this, {kElements}, zeros, DType::bf16);
  const DeviceTensor v(*this, {kElements}, zeros, DType::bf16);
  const DeviceTensor g(*this, {kElements}, gradient, DType::f32);
  backend().adamw({.parameters = w.tensor(),
                   .first_moment = m.tensor(),
                   .second_moment = v.tensor(),
                   .gradient = g.tensor(),
                   .learning_rate = kLearningRate,
                   .beta1 = 0.5f,
                   .beta2 = 0.5f,
                   .step = 3,
                   .seed = kSeed,
                   .first_element = kFirst});
  const Random random(kSeed, Purpose::stochastic_rounding, 3);
  std::vector<double> first, second;
  for (size_t i = 0; i < gradient.size(); ++i) {
    const auto value = static_cast<float>(gradient[i]);
    const PhiloxBlock words = random.words(kFirst + i);
    first.push_back(static_cast<float>(round_stochastically(0.5f * value, words[0])));
    second.push_back(static_cast<float>(round_stochastically(0.5f * value * value, words[1])));
  }
  expect_close(m, first, tolerance("copy", dtype()));
  expect_close(v, second, tolerance("copy", dtype()));
}

// One value a third of the way between two neighbours, rounded 40,000 times: the mean must be the
// value. The mean of n Bernoulli(p) draws stays within 5 sqrt(p (1 - p) / n) of p but once in two
// million runs; the keys are fixed, so it holds for good or not at all.
TEST_P(AdamWTest, StochasticRoundingIsUnbiased) {
  constexpr int64_t kElements = 40000;
  const double below = 1.0;
  const double step = 0x1p-7;  // bf16 between 1 and 2
  const auto value = static_cast<double>(static_cast<float>(below + step / 3));
  const std::vector<double> zeros(kElements);
  const DeviceTensor w(*this, {kElements}, zeros, DType::f32);
  const DeviceTensor m(*this, {kElements}, zeros, DType::bf16);
  const DeviceTensor v(*this, {kElements}, zeros, DType::bf16);
  const DeviceTensor g(*this, {kElements}, std::vector<double>(kElements, 2 * value), DType::f32);
  backend().adamw({.parameters = w.tensor(),
                   .first_moment = m.tensor(),
                   .second_moment = v.tensor(),
                   .gradient = g.tensor(),
                   .learning_rate = kLearningRate,
                   .beta1 = 0.5f});
  double ups = 0;
  for (const double moment : m.values()) {
    ASSERT_TRUE(moment == below || moment == below + step) << moment;
    ups += moment > below ? 1 : 0;
  }
  const double p = (value - below) / step;
  EXPECT_NEAR(ups / kElements, p, 5 * std::sqrt(p * (1 - p) / kElements));
}

TEST_P(AdamWTest, RoundingDoesNotDependOnHowTheBufferIsCut) {
  constexpr int64_t kElements = 20000;
  const Moments whole = step_in_pieces(kElements, {kElements}, 5, 1);
  for (const auto& cuts : {std::vector<int64_t>{1, 17, 1040, 9999, kElements},
                           std::vector<int64_t>{10000, kElements}}) {
    const Moments pieces = step_in_pieces(kElements, cuts, 5, 1);
    EXPECT_EQ(pieces.first, whole.first);
    EXPECT_EQ(pieces.second, whole.second);
  }
  EXPECT_NE(step_in_pieces(kElements, {kElements}, 6, 1).first, whole.first);
  EXPECT_NE(step_in_pieces(kElements, {kElements}, 5, 2).first, whole.first);
}

}  // namespace

}  // namespace cria::testing
