#include <numeric>

#include <omp.h>

#include "cria/ops/attention_choice.h"

#include "ops/op_test.h"
#include "ops/reference_attention.h"

namespace cria::testing {

namespace {

class AttentionTest : public OpTest {
 public:
  // Inputs and outputs of both passes on the device.
  struct Pack {
    Pack(const AttentionTest& test, const AttentionShape& of, const std::vector<double>& values,
         const std::vector<double>& gradient)
        : shape(of),
          qkv(test, {of.tokens(), of.qkv_columns()}, values),
          offsets(test, {static_cast<int64_t>(of.offsets.size())}, of.offsets),
          output(test, {of.tokens(), of.output_columns()}),
          log_sum_exp(test, {of.n_heads, of.tokens()}, DType::f32),
          output_gradient(test, {of.tokens(), of.output_columns()}, gradient),
          qkv_gradient(test, {of.tokens(), of.qkv_columns()}) {}

    AttentionShape shape;
    DeviceTensor qkv, offsets, output, log_sum_exp, output_gradient, qkv_gradient;
  };

  void forward(const Pack& pack) {
    const AttentionShape& shape = pack.shape;
    const Workspace workspace(
        *this, backend().attention_workspace_bytes(shape.tokens(), shape.n_heads, shape.n_kv_heads,
                                                   static_cast<int>(shape.head_dim), dtype()));
    backend().attention_forward({.output = pack.output.tensor(),
                                 .log_sum_exp = pack.log_sum_exp.tensor(),
                                 .qkv = pack.qkv.tensor(),
                                 .sequence_offsets = pack.offsets.tensor(),
                                 .n_heads = shape.n_heads,
                                 .n_kv_heads = shape.n_kv_heads,
                                 .max_sequence_length = shape.max_sequence_length(),
                                 .scale = shape.scale(),
                                 .workspace = workspace.tensor()});
  }

  // Turns dq and dk back where there is a table.
  void backward(const Pack& pack, Tensor output, Tensor log_sum_exp, Tensor positions = {},
                Tensor rope_table = {}) {
    const AttentionShape& shape = pack.shape;
    const Workspace workspace(*this, backend().attention_backward_workspace_bytes(
                                         shape.tokens(), shape.n_heads, shape.n_kv_heads,
                                         static_cast<int>(shape.head_dim), dtype()));
    backend().attention_backward({.qkv_gradient = pack.qkv_gradient.tensor(),
                                  .output_gradient = pack.output_gradient.tensor(),
                                  .output = output,
                                  .log_sum_exp = log_sum_exp,
                                  .qkv = pack.qkv.tensor(),
                                  .sequence_offsets = pack.offsets.tensor(),
                                  .n_heads = shape.n_heads,
                                  .n_kv_heads = shape.n_kv_heads,
                                  .max_sequence_length = shape.max_sequence_length(),
                                  .scale = shape.scale(),
                                  .positions = positions,
                                  .rope_table = rope_table,
                                  .workspace = workspace.tensor()});
  }

  void both(const Pack& pack) {
    forward(pack);
    backward(pack, pack.output.tensor(), pack.log_sum_exp.tensor());
  }

  // GPUs round where the CPU does not.
  Tolerance tolerance_of(const std::string& op) const {
    const bool is_gpu = backend().device() != Device::cpu;
    return tolerance(is_gpu ? op + "_tensor_cores" : op, dtype());
  }

  void check_forward(const AttentionShape& shape, const std::vector<double>& qkv) {
    const Pack pack(*this, shape, qkv,
                    std::vector<double>(shape.tokens() * shape.output_columns()));
    forward(pack);
    const AttentionResult expected = reference_attention(shape, qkv);
    expect_close(in_units(pack.output.values(), expected.output.magnitudes),
                 in_units(expected.output.values, expected.output.magnitudes),
                 tolerance_of("attention_output"));
    expect_close(pack.log_sum_exp, expected.log_sum_exp,
                 tolerance("attention_log_sum_exp", dtype()));
  }

  // From the reference's output, rounded to the dtype, so that the op's own does not count.
  void check_backward(const AttentionShape& shape) {
    const auto qkv = random_values(shape.tokens() * shape.qkv_columns(), 1);
    const auto output_gradient = random_values(shape.tokens() * shape.output_columns(), 2);
    const Pack pack(*this, shape, qkv, output_gradient);
    const AttentionResult forward = reference_attention(shape, qkv);
    const DeviceTensor output(*this, {shape.tokens(), shape.output_columns()},
                              forward.output.values);
    const DeviceTensor log_sum_exp(*this, {shape.n_heads, shape.tokens()}, forward.log_sum_exp,
                                   DType::f32);
    backward(pack, output.tensor(), log_sum_exp.tensor());
    const Measured expected =
        reference_attention_backward(shape, qkv, output.values(), output_gradient);
    expect_close(in_units(pack.qkv_gradient.values(), expected.magnitudes),
                 in_units(expected.values, expected.magnitudes),
                 tolerance_of("attention_gradient"));
  }

  // The same with dq and dk turned back by random angles.
  void check_turned_backward(const AttentionShape& shape) {
    constexpr int64_t kPositions = 40;
    const auto qkv = random_values(shape.tokens() * shape.qkv_columns(), 1);
    const auto output_gradient = random_values(shape.tokens() * shape.output_columns(), 2);
    const auto positions = random_integers(shape.tokens(), 0, kPositions, 3);
    std::vector<double> rope_table(kPositions * shape.head_dim);
    for (int64_t i = 0; i < kPositions * shape.head_dim; ++i) {
      const auto angle = static_cast<double>(i / shape.head_dim * (i % (shape.head_dim / 2)));
      const bool is_sine = i % shape.head_dim >= shape.head_dim / 2;
      rope_table[i] = static_cast<float>(is_sine ? std::sin(angle) : std::cos(angle));
    }
    const Pack pack(*this, shape, qkv, output_gradient);
    const DeviceTensor positions_in(*this, {shape.tokens()}, positions);
    const DeviceTensor table_in(*this, {kPositions, shape.head_dim}, rope_table, DType::f32);
    const AttentionResult forward = reference_attention(shape, qkv);
    const DeviceTensor output(*this, {shape.tokens(), shape.output_columns()},
                              forward.output.values);
    const DeviceTensor log_sum_exp(*this, {shape.n_heads, shape.tokens()}, forward.log_sum_exp,
                                   DType::f32);
    backward(pack, output.tensor(), log_sum_exp.tensor(), positions_in.tensor(), table_in.tensor());
    Measured expected = reference_attention_backward(shape, qkv, output.values(), output_gradient);
    turn_back(expected, shape, positions, rope_table);
    // A kernel whose heads fill its tiles turns what it has not rounded yet, the CPU what it has.
    const bool at_once = shape.head_dim == 32 || shape.head_dim == 64 || shape.head_dim == 128 ||
                         shape.head_dim == 256;
    expect_close(in_units(pack.qkv_gradient.values(), expected.magnitudes),
                 in_units(expected.values, expected.magnitudes),
                 at_once ? tolerance("attention_turned_gradient", dtype())
                         : tolerance_of("attention_turned_gradient"));
  }
};

CRIA_OP_TEST_SUITE(AttentionTest);

// Every group size up to 8; head sizes with and without a ragged last vector; lengths around the
// vector, the block and several blocks; empty sequences at the start, inside and at the end.
std::vector<AttentionShape> shapes() {
  return {
      attention_shape(1, 1, 2, {1}),
      attention_shape(2, 2, 48, {0, 5, 64, 1, 0, 65, 130, 0}),
      attention_shape(4, 2, 64, {300, 17, 128}),
      attention_shape(3, 1, 80, {63, 200}),
      attention_shape(4, 1, 10, {33, 0, 0, 97, 2}),
      attention_shape(3, 3, 128, {129, 31}),
      attention_shape(5, 1, 22, {70, 3, 15, 16}),
      attention_shape(12, 2, 6, {40, 257}),
      attention_shape(7, 1, 34, {1, 1, 1, 66}),
      attention_shape(16, 2, 32, {90, 48}),
      // Heads over 128 have noisier scores, in their bounds again where sequences are short.
      attention_shape(2, 2, 200, {70, 33}),
      attention_shape(2, 1, 138, {40, 0, 65}),
  };
}

int64_t qkv_count(const AttentionShape& shape) { return shape.tokens() * shape.qkv_columns(); }
int64_t output_count(const AttentionShape& shape) {
  return shape.tokens() * shape.output_columns();
}

TEST_P(AttentionTest, Forward) {
  for (const AttentionShape& shape : shapes()) {
    SCOPED_TRACE(::testing::Message() << shape.n_heads << " heads of " << shape.head_dim);
    check_forward(shape, random_values(qkv_count(shape), 1));
  }
}

// Scores in the thousands, all exact in fp32: the softmax must neither overflow nor lose the ties.
// Values are odd, so that no output is nothing but what the largest scores leave over.
TEST_P(AttentionTest, LargeScores) {
  const AttentionShape shape = attention_shape(2, 1, 16, {150});
  const auto steps = random_integers(qkv_count(shape), -3, 4, 1);
  std::vector<double> qkv(steps.size());
  for (size_t i = 0; i < qkv.size(); ++i) {
    const bool is_value = static_cast<int64_t>(i) % shape.qkv_columns() >= shape.value_column(0);
    qkv[i] = is_value ? 2 * steps[i] + 1 : 16 * steps[i];
  }
  check_forward(shape, qkv);
}

TEST_P(AttentionTest, Backward) {
  std::vector<AttentionShape> all = shapes();
  all.push_back(attention_shape(2, 1, 16, {700, 30, 513}));  // gradients summed in several phases
  for (const AttentionShape& shape : all) {
    SCOPED_TRACE(::testing::Message() << shape.n_heads << " heads of " << shape.head_dim);
    check_backward(shape);
  }
}

TEST_P(AttentionTest, BackwardThroughTheRotaryEmbedding) {
  for (const AttentionShape& shape :
       {attention_shape(2, 1, 32, {150, 3}), attention_shape(4, 2, 64, {70, 129}),
        attention_shape(3, 1, 128, {140}), attention_shape(2, 1, 256, {67}),
        attention_shape(2, 2, 48, {0, 65, 9}), attention_shape(5, 1, 6, {40})}) {
    SCOPED_TRACE(::testing::Message() << shape.n_heads << " heads of " << shape.head_dim);
    check_turned_backward(shape);
  }
}

// Every length up to two tiles of 64 and some more, then one in eleven, in one pack.
TEST_P(AttentionTest, EveryLength) {
  std::vector<int32_t> lengths;
  for (int32_t length = 1; length < 300; length += length < 130 ? 1 : 11) lengths.push_back(length);
  lengths.push_back(300);
  const AttentionShape shape = attention_shape(1, 1, 16, lengths);
  check_forward(shape, random_values(qkv_count(shape), 1));
  check_backward(shape);
}

TEST(AttentionReference, GradientIsTheCentralDifference) {
  const AttentionShape shape = attention_shape(4, 2, 6, {5, 1, 9});
  const auto qkv = random_values(qkv_count(shape), 1);
  const auto output_gradient = random_values(output_count(shape), 2);
  const auto loss = [&](const std::vector<double>& x) {
    const auto output = reference_attention(shape, x).output.values;
    return std::inner_product(output.begin(), output.end(), output_gradient.begin(), 0.0);
  };
  const Measured gradient = reference_attention_backward(
      shape, qkv, reference_attention(shape, qkv).output.values, output_gradient);
  for (size_t i = 0; i < qkv.size(); i += 7) {
    EXPECT_NEAR(gradient.values[i], central_difference(qkv, i, loss), 1e-7) << i;
  }
}

// A sequence comes out with the same bits alone and between others, and the others' values, NaN
// included, do not reach it.
TEST_P(AttentionTest, SequencesAreIndependent) {
  for (const int32_t length : {90, 600}) {
    const AttentionShape alone = attention_shape(4, 2, 20, {length});
    const AttentionShape packed = attention_shape(4, 2, 20, {37, 0, length, 3, 270});
    const auto qkv = random_values(qkv_count(alone), 1);
    const auto output_gradient = random_values(output_count(alone), 2);
    std::vector<double> packed_qkv(qkv_count(packed), std::nan(""));
    std::vector<double> packed_gradient(output_count(packed), std::nan(""));
    std::copy(qkv.begin(), qkv.end(), packed_qkv.begin() + 37 * packed.qkv_columns());
    std::copy(output_gradient.begin(), output_gradient.end(),
              packed_gradient.begin() + 37 * packed.output_columns());
    const Pack one(*this, alone, qkv, output_gradient);
    const Pack many(*this, packed, packed_qkv, packed_gradient);
    both(one);
    both(many);
    const auto same_rows = [&](const DeviceTensor& whole, const DeviceTensor& part) {
      const auto bytes = whole.bytes();
      const size_t row = part.bytes().size() / length;
      return std::vector<uint8_t>(bytes.begin() + 37 * row, bytes.begin() + (37 + length) * row) ==
             part.bytes();
    };
    EXPECT_TRUE(same_rows(many.output, one.output));
    EXPECT_TRUE(same_rows(many.qkv_gradient, one.qkv_gradient));
  }
}

// A row does not see what comes after it.
TEST_P(AttentionTest, RowsSeeOnlyThePast) {
  const AttentionShape shape = attention_shape(2, 1, 12, {140});
  const auto qkv = random_values(qkv_count(shape), 1);
  const std::vector<double> no_gradient(output_count(shape));
  const Pack before(*this, shape, qkv, no_gradient);
  forward(before);
  for (const int64_t row : {1, 64, 100, 139}) {
    std::vector<double> changed = qkv;
    for (int64_t i = row * shape.qkv_columns(); i < qkv_count(shape); ++i) changed[i] += 1;
    const Pack after(*this, shape, changed, no_gradient);
    forward(after);
    const auto first = before.output.bytes();
    const auto second = after.output.bytes();
    const auto end = static_cast<int64_t>(first.size()) / shape.tokens() * row;
    EXPECT_TRUE(std::equal(first.begin(), first.begin() + end, second.begin())) << row;
    EXPECT_NE(first, second);
  }
}

TEST_P(AttentionTest, BitsDoNotDependOnThreads) {
  const AttentionShape shape = attention_shape(4, 2, 24, {530, 70, 64, 1});
  const auto qkv = random_values(qkv_count(shape), 1);
  const auto output_gradient = random_values(output_count(shape), 2);
  const int threads = omp_get_max_threads();
  std::vector<std::vector<uint8_t>> outputs, gradients;
  for (const int count : {1, 2, 3}) {
    omp_set_num_threads(count);
    const Pack pack(*this, shape, qkv, output_gradient);
    both(pack);
    outputs.push_back(pack.output.bytes());
    gradients.push_back(pack.qkv_gradient.bytes());
  }
  omp_set_num_threads(threads);
  for (const size_t i : {1, 2}) {
    EXPECT_EQ(outputs[0], outputs[i]);
    EXPECT_EQ(gradients[0], gradients[i]);
  }
}

// cuDNN's in the place of cria's, where there is a GPU, a build with its frontend, and the library.
class CudnnAttentionTest : public AttentionTest {
 protected:
  void SetUp() override {
    if (GetParam().device != "cuda" || dtype() != DType::bf16) GTEST_SKIP() << "cuda and bf16 only";
    try {
      choose_attention(backend(), "cudnn");
    } catch (const Error& error) {
      GTEST_SKIP() << error.what();
    }
  }
  void TearDown() override { choose_attention(backend(), "native"); }

  // Heads as cuDNN takes them: multiples of 8 up to 128.
  static std::vector<AttentionShape> shapes() {
    return {
        attention_shape(2, 2, 48, {0, 5, 64, 1, 0, 65, 130, 0}),
        attention_shape(4, 2, 64, {300, 17, 128}),
        attention_shape(4, 1, 64, {33, 0, 0, 97, 2}),
        attention_shape(3, 3, 128, {129, 31}),
        attention_shape(16, 2, 128, {700, 30, 513}),
    };
  }

  // [n_heads, T] as [T, n_heads].
  static std::vector<double> by_token(const AttentionShape& shape,
                                      const std::vector<double>& log_sum_exp) {
    std::vector<double> values(log_sum_exp.size());
    for (int64_t h = 0; h < shape.n_heads; ++h) {
      for (int64_t t = 0; t < shape.tokens(); ++t) {
        values[t * shape.n_heads + h] = log_sum_exp[h * shape.tokens() + t];
      }
    }
    return values;
  }
};

CRIA_OP_TEST_SUITE(CudnnAttentionTest);

TEST_P(CudnnAttentionTest, Forward) {
  for (const AttentionShape& shape : shapes()) {
    SCOPED_TRACE(::testing::Message() << shape.n_heads << " heads of " << shape.head_dim);
    const auto qkv = random_values(qkv_count(shape), 1);
    const Pack pack(*this, shape, qkv, std::vector<double>(output_count(shape)));
    forward(pack);
    const AttentionResult expected = reference_attention(shape, qkv);
    expect_close(in_units(pack.output.values(), expected.output.magnitudes),
                 in_units(expected.output.values, expected.output.magnitudes),
                 tolerance_of("attention_output"));
    expect_close(pack.log_sum_exp, by_token(shape, expected.log_sum_exp),
                 tolerance("attention_log_sum_exp", dtype()));
  }
}

TEST_P(CudnnAttentionTest, BackwardTwiceTheSameBits) {
  for (const AttentionShape& shape : shapes()) {
    SCOPED_TRACE(::testing::Message() << shape.n_heads << " heads of " << shape.head_dim);
    const auto qkv = random_values(qkv_count(shape), 1);
    const auto output_gradient = random_values(output_count(shape), 2);
    const Pack pack(*this, shape, qkv, output_gradient);
    const AttentionResult result = reference_attention(shape, qkv);
    const DeviceTensor output(*this, {shape.tokens(), shape.output_columns()},
                              result.output.values);
    const DeviceTensor log_sum_exp(*this, {shape.n_heads, shape.tokens()},
                                   by_token(shape, result.log_sum_exp), DType::f32);
    backward(pack, output.tensor(), log_sum_exp.tensor());
    const Measured expected =
        reference_attention_backward(shape, qkv, output.values(), output_gradient);
    expect_close(in_units(pack.qkv_gradient.values(), expected.magnitudes),
                 in_units(expected.values, expected.magnitudes),
                 tolerance_of("attention_gradient"));
    const auto once = pack.qkv_gradient.bytes();
    backward(pack, output.tensor(), log_sum_exp.tensor());
    EXPECT_EQ(once, pack.qkv_gradient.bytes());

    // Turned back where there is a table, as rope_backward turns what came out.
    const DeviceTensor positions(*this, {shape.tokens()}, random_integers(shape.tokens(), 0, 8, 3));
    const DeviceTensor table(*this, {8, shape.head_dim}, random_values(8 * shape.head_dim, 4),
                             DType::f32);
    backend().rope_backward({.qkv_gradient = pack.qkv_gradient.tensor(),
                             .positions = positions.tensor(),
                             .table = table.tensor(),
                             .n_heads = shape.n_heads,
                             .n_kv_heads = shape.n_kv_heads});
    const auto turned = pack.qkv_gradient.bytes();
    backward(pack, output.tensor(), log_sum_exp.tensor(), positions.tensor(), table.tensor());
    EXPECT_EQ(turned, pack.qkv_gradient.bytes());
  }
}

}  // namespace

}  // namespace cria::testing
