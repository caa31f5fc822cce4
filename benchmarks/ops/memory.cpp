// Ops that memory bounds, beginning with the copy that they are compared with. GB/s count what must
// be read and written at least.
#include "measure.h"

namespace cria {

namespace {

double bytes_of(int64_t elements, DType dtype) {
  return static_cast<double>(elements) * static_cast<double>(size_of(dtype));
}

// What memory allows: the bytes read and written by a copy. Argument: elements.
void copy(benchmark::State& state) {
  const int64_t n = state.range(0);
  const Filled from({n}, DType::f32), to({n}, DType::f32);
  repeat(state, "GB/s", 8.0 * static_cast<double>(n), [&] { backend().copy(to, from); });
}

// Arguments: elements, dtype of the destination; from the other one.
void cast(benchmark::State& state) {
  const int64_t n = state.range(0);
  const DType to_dtype = dtype_of_argument(state.range(1));
  const Filled from({n}, dtype_of_argument(1 - state.range(1))), to({n}, to_dtype);
  repeat(state, "GB/s", 6.0 * static_cast<double>(n), [&] { backend().cast(to, from); });
}

// Arguments: hidden size, dtype.
void embedding(benchmark::State& state) {
  const int64_t d = state.range(0);
  const DType dtype = dtype_of_argument(state.range(1));
  const Filled output({token_count(), d}, dtype), table({vocab_size, d}, dtype),
      ids(spread_ids(token_count(), vocab_size));
  repeat(state, "GB/s", bytes_of(2 * token_count() * d, dtype),
         [&] { backend().embedding_forward({.output = output, .table = table, .ids = ids}); });
}

// Every id once: each row of the gradient is read, added to and written.
void embedding_backward(benchmark::State& state) {
  const int64_t d = state.range(0);
  const DType dtype = dtype_of_argument(state.range(1));
  const Filled output_gradient({token_count(), d}, dtype),
      table_gradient({vocab_size, d}, DType::f32), ids(spread_ids(token_count(), vocab_size)),
      workspace(backend().embedding_backward_workspace_bytes(token_count(), vocab_size));
  const double bytes =
      bytes_of(token_count() * d, dtype) + bytes_of(2 * token_count() * d, DType::f32);
  repeat(state, "GB/s", bytes, [&] {
    backend().embedding_backward({.table_gradient = table_gradient,
                                  .output_gradient = output_gradient,
                                  .ids = ids,
                                  .workspace = workspace});
  });
}

// Arguments: hidden size, dtype.
struct RmsNorm {
  explicit RmsNorm(const benchmark::State& state)
      : d(state.range(0)),
        dtype(dtype_of_argument(state.range(1))),
        input({token_count(), d}, dtype),
        residual({token_count(), d}, dtype),
        output({token_count(), d}, dtype),
        sum({token_count(), d}, dtype),
        weight({d}, dtype),
        weight_gradient({d}, DType::f32),
        inverse_rms({token_count()}, DType::f32),
        workspace(backend().rmsnorm_backward_workspace_bytes(token_count(), d)) {
    forward();
  }

  void forward() const {
    backend().rmsnorm_forward({.output = output,
                               .residual_output = sum,
                               .inverse_rms = inverse_rms,
                               .input = input,
                               .residual = residual,
                               .weight = weight});
  }
  double bytes(int tensors) const { return bytes_of(tensors * token_count() * d, dtype); }

  int64_t d;
  DType dtype;
  Filled input, residual, output, sum, weight, weight_gradient, inverse_rms, workspace;
};

void residual_rmsnorm(benchmark::State& state) {
  const RmsNorm p(state);
  repeat(state, "GB/s", p.bytes(4), [&] { p.forward(); });
}

void residual_rmsnorm_backward(benchmark::State& state) {
  const RmsNorm p(state);
  repeat(state, "GB/s", p.bytes(4), [&] {
    backend().rmsnorm_backward({.input_gradient = p.input,
                                .weight_gradient = p.weight_gradient,
                                .output_gradient = p.output,
                                .residual_gradient = p.residual,
                                .input = p.sum,
                                .inverse_rms = p.inverse_rms,
                                .weight = p.weight,
                                .workspace = p.workspace});
  });
}

// Arguments: heads, heads of keys, head size, dtype. The values of a row are left alone.
struct Rope {
  explicit Rope(const benchmark::State& state)
      : heads(static_cast<int>(state.range(0))),
        kv_heads(static_cast<int>(state.range(1))),
        head_dim(state.range(2)),
        dtype(dtype_of_argument(state.range(3))),
        qkv({token_count(), (heads + 2 * kv_heads) * head_dim}, dtype),
        table({sequence_length, head_dim}, DType::f32),
        positions(equal_sequences()) {}

  static std::vector<int32_t> equal_sequences() {
    std::vector<int32_t> positions;
    for (int64_t t = 0; t < token_count(); ++t) {
      positions.push_back(static_cast<int32_t>(t % sequence_length));
    }
    return positions;
  }
  double bytes() const {
    return bytes_of(2 * token_count() * (heads + kv_heads) * head_dim, dtype);
  }

  int heads, kv_heads;
  int64_t head_dim;
  DType dtype;
  Filled qkv, table, positions;
};

void rope(benchmark::State& state) {
  const Rope p(state);
  repeat(state, "GB/s", p.bytes(), [&] {
    backend().rope_forward({.qkv = p.qkv,
                            .positions = p.positions,
                            .table = p.table,
                            .n_heads = p.heads,
                            .n_kv_heads = p.kv_heads});
  });
}

void rope_backward(benchmark::State& state) {
  const Rope p(state);
  repeat(state, "GB/s", p.bytes(), [&] {
    backend().rope_backward({.qkv_gradient = p.qkv,
                             .positions = p.positions,
                             .table = p.table,
                             .n_heads = p.heads,
                             .n_kv_heads = p.kv_heads});
  });
}

// Arguments: intermediate size, dtype.
struct Swiglu {
  explicit Swiglu(const benchmark::State& state)
      : f(state.range(0)),
        dtype(dtype_of_argument(state.range(1))),
        gate_up({token_count(), 2 * f}, dtype),
        gate_up_gradient({token_count(), 2 * f}, dtype),
        output({token_count(), f}, dtype) {}

  double bytes(int tensors) const { return bytes_of(tensors * token_count() * f, dtype); }

  int64_t f;
  DType dtype;
  Filled gate_up, gate_up_gradient, output;
};

void swiglu(benchmark::State& state) {
  const Swiglu p(state);
  repeat(state, "GB/s", p.bytes(3),
         [&] { backend().swiglu_forward({.output = p.output, .gate_up = p.gate_up}); });
}

void swiglu_backward(benchmark::State& state) {
  const Swiglu p(state);
  repeat(state, "GB/s", p.bytes(5), [&] {
    backend().swiglu_backward({.gate_up_gradient = p.gate_up_gradient,
                               .output_gradient = p.output,
                               .gate_up = p.gate_up});
  });
}

// A score for every token, as a value model has. Arguments: hidden size, dtype.
struct ScoreHead {
  explicit ScoreHead(const benchmark::State& state)
      : d(state.range(0)),
        dtype(dtype_of_argument(state.range(1))),
        scores({token_count()}, DType::f32),
        hidden({token_count(), d}, dtype),
        hidden_gradient({token_count(), d}, dtype),
        weight({1, d}, dtype),
        weight_gradient({1, d}, DType::f32),
        rows(spread_ids(token_count(), token_count())),
        workspace(backend().score_head_backward_workspace_bytes(token_count(), d)) {}

  int64_t d;
  DType dtype;
  Filled scores, hidden, hidden_gradient, weight, weight_gradient, rows, workspace;
};

void score_head(benchmark::State& state) {
  const ScoreHead p(state);
  repeat(state, "GB/s", bytes_of(token_count() * p.d, p.dtype), [&] {
    backend().score_head_forward(
        {.scores = p.scores, .hidden = p.hidden, .weight = p.weight, .rows = p.rows});
  });
}

void score_head_backward(benchmark::State& state) {
  const ScoreHead p(state);
  repeat(state, "GB/s", bytes_of(2 * token_count() * p.d, p.dtype), [&] {
    backend().score_head_backward({.hidden_gradient = p.hidden_gradient,
                                   .weight_gradient = p.weight_gradient,
                                   .score_gradients = p.scores,
                                   .hidden = p.hidden,
                                   .weight = p.weight,
                                   .rows = p.rows,
                                   .workspace = p.workspace});
  });
}

// Arguments: parameters, dtype of gradient and moments; with bf16 the copy of the weights too.
void adamw(benchmark::State& state) {
  const int64_t n = state.range(0);
  const DType dtype = dtype_of_argument(state.range(1));
  const Filled parameters({n}, DType::f32), gradient({n}, dtype), first({n}, dtype),
      second({n}, dtype), copy_of_weights({n}, DType::bf16);
  const bool has_copy = dtype == DType::bf16;
  backend().zero(second);
  int64_t step = 1;
  const double bytes = bytes_of(2 * n, DType::f32) + bytes_of(5 * n, dtype) +
                       (has_copy ? bytes_of(n, DType::bf16) : 0.0);
  repeat(state, "GB/s", bytes, [&] {
    backend().adamw({.parameters = parameters,
                     .compute_copy = has_copy ? Tensor(copy_of_weights) : Tensor{},
                     .first_moment = first,
                     .second_moment = second,
                     .gradient = gradient,
                     .learning_rate = 1e-4f,
                     .step = step++});
  });
}

// Arguments: elements, dtype.
void sum_of_squares(benchmark::State& state) {
  const int64_t n = state.range(0);
  const DType dtype = dtype_of_argument(state.range(1));
  const Filled output({1}, DType::f32), input({n}, dtype),
      workspace(backend().sum_of_squares_workspace_bytes(n));
  repeat(state, "GB/s", bytes_of(n, dtype), [&] {
    backend().sum_of_squares({.output = output, .input = input, .workspace = workspace});
  });
}

}  // namespace

void add_memory_benchmarks(const Shapes& shapes) {
  const std::vector<int64_t> dtypes = {0, 1}, elements = {element_count};
  add("copy", copy)->Arg(element_count);
  add("cast", cast)->ArgsProduct({elements, dtypes});
  add("embedding", embedding)->ArgsProduct({shapes.hidden, shapes.dtypes});
  add("embedding_backward", embedding_backward)->ArgsProduct({shapes.hidden, shapes.dtypes});
  add("residual_rmsnorm", residual_rmsnorm)->ArgsProduct({shapes.hidden, shapes.dtypes});
  add("residual_rmsnorm_backward", residual_rmsnorm_backward)
      ->ArgsProduct({shapes.hidden, shapes.dtypes});
  with_heads(add("rope", rope), shapes.heads, shapes.dtypes);
  with_heads(add("rope_backward", rope_backward), shapes.heads, shapes.dtypes);
  add("swiglu", swiglu)->ArgsProduct({shapes.intermediate, shapes.dtypes});
  add("swiglu_backward", swiglu_backward)->ArgsProduct({shapes.intermediate, shapes.dtypes});
  add("score_head", score_head)->ArgsProduct({shapes.hidden, shapes.dtypes});
  add("score_head_backward", score_head_backward)->ArgsProduct({shapes.hidden, shapes.dtypes});
  add("adamw", adamw)->ArgsProduct({elements, dtypes});
  add("sum_of_squares", sum_of_squares)->ArgsProduct({elements, dtypes});
}

}  // namespace cria
