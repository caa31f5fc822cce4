// Attention: every row of q, k, v and their gradients comes from DRAM once (what tiles of other
// blocks ask for again, L2 serves), and shared memory has no bank conflicts.
#include <cmath>

#include "traffic/op_traffic.h"

namespace cria::testing {

namespace {

// Two sequences, the second with a tile that is not full.
struct Attention {
  Attention(int head_size, DType type)
      : head_dim(head_size),
        dtype(type),
        qkv(Counted::random({kTokens, (kHeads + 2 * kKvHeads) * head_dim}, dtype)),
        qkv_gradient({kTokens, (kHeads + 2 * kKvHeads) * head_dim}, dtype),
        output({kTokens, kHeads * head_dim}, dtype),
        output_gradient(Counted::random({kTokens, kHeads * head_dim}, dtype)),
        log_sum_exp({kHeads, kTokens}, DType::f32),
        offsets(std::vector<int32_t>{0, 256, kTokens}),
        positions(positions_of({256, 160})),
        rope_table(Counted::random({256, head_dim}, DType::f32)),
        workspace(backend().attention_backward_workspace_bytes(
            kTokens, kHeads, kKvHeads, static_cast<int>(head_dim), dtype)) {}

  static std::vector<int32_t> positions_of(std::initializer_list<int32_t> lengths) {
    std::vector<int32_t> positions;
    for (const int32_t length : lengths) {
      for (int32_t i = 0; i < length; ++i) positions.push_back(i);
    }
    return positions;
  }

  std::string sizes() const {
    return fmt::format("{} × {} heads, {} of keys, × {} {}", int64_t{kTokens}, int{kHeads},
                       int{kKvHeads}, head_dim, name(dtype));
  }
  float scale() const { return 1.0f / std::sqrt(static_cast<float>(head_dim)); }
  void forward(Backend& b) const {
    b.attention_forward({.output = output,
                         .log_sum_exp = log_sum_exp,
                         .qkv = qkv,
                         .sequence_offsets = offsets,
                         .n_heads = kHeads,
                         .n_kv_heads = kKvHeads,
                         .max_sequence_length = 256,
                         .scale = scale(),
                         .workspace = workspace});
  }
  // Through the rotary embedding where there is a table.
  void backward(Backend& b, Tensor table = {}) const {
    b.attention_backward({.qkv_gradient = qkv_gradient,
                          .output_gradient = output_gradient,
                          .output = output,
                          .log_sum_exp = log_sum_exp,
                          .qkv = qkv,
                          .sequence_offsets = offsets,
                          .n_heads = kHeads,
                          .n_kv_heads = kKvHeads,
                          .max_sequence_length = 256,
                          .scale = scale(),
                          .positions = positions,
                          .rope_table = table,
                          .workspace = workspace});
  }

  int64_t backward_bytes() const {
    return bytes_of({output, output_gradient, workspace}) +
           2 * bytes_of({qkv, output_gradient, log_sum_exp, workspace, offsets}) +
           bytes_of({qkv_gradient});
  }

  static constexpr int kTokens = 256 + 160, kHeads = 4, kKvHeads = 2;
  int64_t head_dim;
  DType dtype;
  Counted qkv, qkv_gradient, output, output_gradient, log_sum_exp, offsets, positions, rope_table,
      workspace;
};

struct AttentionOps : ::testing::TestWithParam<std::pair<int, DType>> {};

TEST_P(AttentionOps, Forward) {
  const Attention p(GetParam().first, GetParam().second);
  const OpTraffic traffic =
      count_traffic({.op = "attention_forward",
                     .sizes = p.sizes(),
                     .ideal_bytes = bytes_of({p.qkv, p.output, p.log_sum_exp, p.offsets}),
                     .cached = {p.qkv, p.offsets}},
                    [&](Backend& b) { p.forward(b); });
  expect_streams(traffic);
  expect_no_conflicts(traffic);
}

// Three kernels: D from the output and its gradient; the gradients of keys and values; those of
// queries. The last two read the same tensors each.
TEST_P(AttentionOps, Backward) {
  const Attention p(GetParam().first, GetParam().second);
  p.forward(backend());
  const OpTraffic traffic =
      count_traffic({.op = "attention_backward",
                     .sizes = p.sizes(),
                     .ideal_bytes = p.backward_bytes(),
                     .cached = {p.qkv, p.output_gradient, p.log_sum_exp, p.workspace, p.offsets}},
                    [&](Backend& b) { p.backward(b); });
  expect_streams(traffic);
  expect_no_conflicts(traffic);
}

// The gradients of queries and keys are turned back in registers: no pass over memory more, the
// angles alone are read. (Of fp32 rope_backward is called after.)
TEST_P(AttentionOps, BackwardThroughTheRotaryEmbedding) {
  const Attention p(GetParam().first, GetParam().second);
  if (p.dtype != DType::bf16) GTEST_SKIP() << "of two ops";
  p.forward(backend());
  const OpTraffic traffic =
      count_traffic({.op = "attention_backward",
                     .sizes = p.sizes() + ", through RoPE",
                     .ideal_bytes = p.backward_bytes() + 2 * bytes_of({p.positions, p.rope_table}),
                     .cached = {p.qkv, p.output_gradient, p.log_sum_exp, p.workspace, p.offsets,
                                p.positions, p.rope_table}},
                    [&](Backend& b) { p.backward(b, p.rope_table); });
  expect_streams(traffic);
  expect_no_conflicts(traffic);
}

// The weights of every eighth row: its query, and the keys up to it.
TEST_P(AttentionOps, Maxima) {
  const Attention p(GetParam().first, GetParam().second);
  p.forward(backend());
  std::vector<int32_t> chosen;
  int64_t weights = 0;
  for (int32_t row = 7; row < 256; row += 8) {
    chosen.push_back(row);
    weights += row + 1;
  }
  const auto count = static_cast<int64_t>(chosen.size());
  const Counted maxima({count, 256}, DType::f32), rows(chosen),
      starts(std::vector<int32_t>(chosen.size(), 0));
  const OpTraffic traffic = count_traffic(
      {.op = "attention_maxima",
       .sizes = fmt::format("{} rows of {}", count, p.sizes()),
       .ideal_bytes = bytes_of((count * p.kHeads + 256 * p.kKvHeads) * p.head_dim, p.dtype) +
                      2 * bytes_of(weights, DType::f32) + bytes_of({rows, starts}) +
                      32 * count * p.kHeads,  // log_sum_exp: eight rows apart, a sector each
       .cached = {p.qkv, p.log_sum_exp, rows, starts}},
      [&](Backend& b) {
        b.attention_maxima({.maxima = maxima,
                            .qkv = p.qkv,
                            .log_sum_exp = p.log_sum_exp,
                            .rows = rows,
                            .starts = starts,
                            .n_heads = p.kHeads,
                            .n_kv_heads = p.kKvHeads,
                            .scale = p.scale()});
      });
  expect_moves_once(traffic);
}

INSTANTIATE_TEST_SUITE_P(HeadSizes, AttentionOps,
                         ::testing::Values(std::pair(64, DType::bf16), std::pair(128, DType::bf16),
                                           std::pair(64, DType::f32), std::pair(128, DType::f32)),
                         [](const auto& test) {
                           return name(test.param.second) + "_" + std::to_string(test.param.first);
                         });

}  // namespace

}  // namespace cria::testing
