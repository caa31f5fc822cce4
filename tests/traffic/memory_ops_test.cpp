// The ops that memory bounds, in the order of a training step: what they move is at most 1.1 times
// what must be moved.
#include "traffic/op_traffic.h"

namespace cria::testing {

namespace {

constexpr DType kDTypes[] = {DType::f32, DType::bf16};

TEST(MemoryOps, EmbeddingForward) {
  const int64_t tokens = 512, d = 1024, vocab_size = 4096;
  for (const DType dtype : kDTypes) {
    const Counted output({tokens, d}, dtype), table({vocab_size, d}, dtype),
        ids(spread_ids(tokens, vocab_size));
    const OpTraffic traffic = count_traffic(
        {.op = "embedding_forward",
         .sizes = "512 × 1024 " + name(dtype),
         .ideal_bytes = 2 * bytes_of({output}) + bytes_of({ids}),
         .cached = {ids}},
        [&](Backend& b) { b.embedding_forward({.output = output, .table = table, .ids = ids}); });
    expect_streams(traffic);
  }
}

TEST(MemoryOps, EmbeddingBackward) {
  const int64_t tokens = 2048, d = 1024, vocab_size = 8192;
  for (const DType dtype : kDTypes) {
    const Counted output_gradient({tokens, d}, dtype), table_gradient({vocab_size, d}, DType::f32),
        ids(spread_ids(tokens, vocab_size)),
        workspace(backend().embedding_backward_workspace_bytes(tokens, vocab_size));
    const OpTraffic traffic = count_traffic(
        {.op = "embedding_backward",
         .sizes = "2048 × 1024 " + name(dtype) + ", each id once",
         .ideal_bytes = bytes_of({output_gradient, ids}) + 2 * bytes_of(tokens * d, DType::f32),
         .cached = {ids, workspace}},
        [&](Backend& b) {
          b.embedding_backward({.table_gradient = table_gradient,
                                .output_gradient = output_gradient,
                                .ids = ids,
                                .workspace = workspace});
        });
    expect_streams(traffic);
  }
}

struct RmsNorm {
  RmsNorm(int64_t tokens, int64_t d, DType dtype)
      : input({tokens, d}, dtype),
        residual({tokens, d}, dtype),
        output({tokens, d}, dtype),
        sum({tokens, d}, dtype),
        weight({d}, dtype),
        weight_gradient({d}, DType::f32),
        inverse_rms({tokens}, DType::f32),
        workspace(backend().rmsnorm_backward_workspace_bytes(tokens, d)) {}

  Counted input, residual, output, sum, weight, weight_gradient, inverse_rms, workspace;
};

TEST(MemoryOps, RmsNormForward) {
  const int64_t tokens = 1024, d = 1024;
  for (const DType dtype : kDTypes) {
    const RmsNorm p(tokens, d, dtype);
    const std::string sizes = "1024 × 1024 " + name(dtype);
    for (const bool with_residual : {false, true}) {
      const OpTraffic traffic = count_traffic(
          {.op = "rmsnorm_forward",
           .sizes = sizes + (with_residual ? ", residual" : ""),
           .ideal_bytes = bytes_of({p.input, p.output, p.weight, p.inverse_rms}) +
                          (with_residual ? bytes_of({p.residual, p.sum}) : 0),
           .cached = {p.weight}},
          [&](Backend& b) {
            b.rmsnorm_forward({.output = p.output,
                               .residual_output = with_residual ? Tensor(p.sum) : Tensor(),
                               .inverse_rms = p.inverse_rms,
                               .input = p.input,
                               .residual = with_residual ? Tensor(p.residual) : Tensor(),
                               .weight = p.weight});
          });
      expect_streams(traffic);
      expect_no_conflicts(traffic);
    }
  }
}

TEST(MemoryOps, RmsNormBackward) {
  const int64_t tokens = 8192, d = 512;
  for (const DType dtype : kDTypes) {
    const RmsNorm p(tokens, d, dtype);
    const OpTraffic traffic = count_traffic(
        {.op = "rmsnorm_backward",
         .sizes = "8192 × 512 " + name(dtype) + ", residual",
         .ideal_bytes = bytes_of({p.input, p.output, p.residual, p.sum, p.weight, p.inverse_rms}) +
                        2 * bytes_of({p.weight_gradient}),
         .cached = {p.weight, p.inverse_rms}},
        [&](Backend& b) {
          b.rmsnorm_backward({.input_gradient = p.input,
                              .weight_gradient = p.weight_gradient,
                              .output_gradient = p.output,
                              .residual_gradient = p.residual,
                              .input = p.sum,
                              .inverse_rms = p.inverse_rms,
                              .weight = p.weight,
                              .workspace = p.workspace});
        });
    expect_streams(traffic);
    expect_no_conflicts(traffic);
  }
}

TEST(MemoryOps, Rope) {
  const int64_t tokens = 512, length = 256;
  const int heads = 12, kv_heads = 4;
  std::vector<int32_t> order;
  for (int32_t t = 0; t < tokens; ++t) order.push_back(t % length);
  const Counted positions(order);
  for (const int64_t head_dim : {64, 128}) {
    for (const DType dtype : kDTypes) {
      const Counted qkv({tokens, (heads + 2 * kv_heads) * head_dim}, dtype),
          table({length, head_dim}, DType::f32);
      const OpTraffic op{
          .op = "rope_forward",
          .sizes = fmt::format("512 × 16 × {} {}", head_dim, name(dtype)),
          .ideal_bytes = 2 * bytes_of(tokens * (heads + kv_heads) * head_dim, dtype) +
                         bytes_of({table, positions}),
          .cached = {table, positions}};
      expect_streams(count_traffic(op, [&](Backend& b) {
        b.rope_forward({.qkv = qkv,
                        .positions = positions,
                        .table = table,
                        .n_heads = heads,
                        .n_kv_heads = kv_heads});
      }));
    }
  }
}

TEST(MemoryOps, Swiglu) {
  const int64_t tokens = 256, f = 2816;
  for (const DType dtype : kDTypes) {
    const Counted gate_up({tokens, 2 * f}, dtype), gradient({tokens, 2 * f}, dtype),
        output({tokens, f}, dtype);
    const std::string sizes = "256 × 2816 " + name(dtype);
    expect_streams(count_traffic(
        {.op = "swiglu_forward", .sizes = sizes, .ideal_bytes = bytes_of({gate_up, output})},
        [&](Backend& b) { b.swiglu_forward({.output = output, .gate_up = gate_up}); }));
    for (const bool leaves_output : {false, true}) {
      expect_streams(count_traffic(
          {.op = "swiglu_backward",
           .sizes = sizes + (leaves_output ? ", with the output" : ""),
           .ideal_bytes =
               bytes_of({gate_up, gradient, output}) + (leaves_output ? bytes_of({output}) : 0)},
          [&](Backend& b) {
            b.swiglu_backward({.gate_up_gradient = gradient,
                               .output = leaves_output ? Tensor(output) : Tensor(),
                               .output_gradient = output,
                               .gate_up = gate_up});
          }));
    }
  }
}

TEST(MemoryOps, ScoreHead) {
  const int64_t tokens = 1024, d = 1024;
  for (const DType dtype : kDTypes) {
    const Counted scores({tokens}, DType::f32), hidden({tokens, d}, dtype),
        hidden_gradient({tokens, d}, dtype), weight({1, d}, dtype),
        weight_gradient({1, d}, DType::f32), rows(spread_ids(tokens, tokens)),
        workspace(backend().score_head_backward_workspace_bytes(tokens, d));
    const std::string sizes = "1024 × 1024 " + name(dtype) + ", every row";
    expect_streams(
        count_traffic({.op = "score_head_forward",
                       .sizes = sizes,
                       .ideal_bytes = bytes_of({hidden, weight, rows, scores}),
                       .cached = {weight, rows}},
                      [&](Backend& b) {
                        b.score_head_forward(
                            {.scores = scores, .hidden = hidden, .weight = weight, .rows = rows});
                      }));
    expect_streams(
        count_traffic({.op = "score_head_backward",
                       .sizes = sizes,
                       .ideal_bytes = bytes_of({hidden, hidden_gradient, weight, rows, scores}) +
                                      2 * bytes_of({weight_gradient}),
                       .cached = {weight, rows, scores, workspace}},
                      [&](Backend& b) {
                        b.score_head_backward({.hidden_gradient = hidden_gradient,
                                               .weight_gradient = weight_gradient,
                                               .score_gradients = scores,
                                               .hidden = hidden,
                                               .weight = weight,
                                               .rows = rows,
                                               .workspace = workspace});
                      }));
  }
}

TEST(MemoryOps, AdamW) {
  const int64_t n = 1 << 18;
  for (const DType gradient_dtype : kDTypes) {
    for (const DType moment_dtype : kDTypes) {
      for (const bool has_copy : {false, true}) {
        const Counted parameters({n}, DType::f32), copy({n}, DType::bf16), first({n}, moment_dtype),
            second({n}, moment_dtype), gradient({n}, gradient_dtype);
        const OpTraffic traffic = count_traffic(
            {.op = "adamw",
             .sizes = fmt::format("262144, gradient {}, moments {}{}", name(gradient_dtype),
                                  name(moment_dtype), has_copy ? ", bf16 copy" : ""),
             .ideal_bytes = 2 * bytes_of({parameters, first, second}) + bytes_of({gradient}) +
                            (has_copy ? bytes_of({copy}) : 0)},
            [&](Backend& b) {
              b.adamw({.parameters = parameters,
                       .compute_copy = has_copy ? Tensor(copy) : Tensor(),
                       .first_moment = first,
                       .second_moment = second,
                       .gradient = gradient,
                       .learning_rate = 1e-4f});
            });
        expect_streams(traffic);
      }
    }
  }
}

TEST(MemoryOps, SumOfSquares) {
  const int64_t n = 1 << 20;
  for (const DType dtype : kDTypes) {
    const Counted output({1}, DType::f32), input({n}, dtype),
        workspace(backend().sum_of_squares_workspace_bytes(n));
    const OpTraffic traffic = count_traffic(
        {.op = "sum_of_squares",
         .sizes = "1048576 " + name(dtype),
         .ideal_bytes = bytes_of({input, output})},
        [&](Backend& b) {
          b.sum_of_squares({.output = output, .input = input, .workspace = workspace});
        });
    expect_streams(traffic);
    expect_no_conflicts(traffic);
  }
}

TEST(MemoryOps, Cast) {
  const int64_t n = 1 << 19;
  for (const DType dtype : kDTypes) {
    const Counted to({n}, dtype), from({n}, dtype == DType::f32 ? DType::bf16 : DType::f32);
    expect_streams(count_traffic(
        {.op = "cast", .sizes = "524288 to " + name(dtype), .ideal_bytes = bytes_of({to, from})},
        [&](Backend& b) { b.cast(to, from); }));
  }
}

}  // namespace

}  // namespace cria::testing
