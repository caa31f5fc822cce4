// Ops that arithmetic bounds: the products, attention and the language head.
#include <algorithm>
#include <cmath>

#include "measure.h"

namespace cria {

namespace {

// Arguments of the products: output size, input size, dtype.
struct Linear {
  explicit Linear(const benchmark::State& state)
      : n(state.range(0)),
        k(state.range(1)),
        dtype(dtype_of_argument(state.range(2))),
        input({token_count(), k}, dtype),
        weight({n, k}, dtype),
        output({token_count(), n}, dtype) {}

  double flop() const { return 2.0 * static_cast<double>(token_count() * n * k); }

  int64_t n, k;
  DType dtype;
  Filled input, weight, output;
};

void linear(benchmark::State& state) {
  const Linear p(state);
  repeat(state, "GFLOP/s", p.flop(), [&] {
    backend().linear_forward(
        {.output = p.output, .input = p.input, .weight = {.values = p.weight}});
  });
}

void linear_backward_input(benchmark::State& state) {
  const Linear p(state);
  repeat(state, "GFLOP/s", p.flop(), [&] {
    backend().linear_backward_input(
        {.input_gradient = p.input, .output_gradient = p.output, .weight = {.values = p.weight}});
  });
}

void linear_backward_weight(benchmark::State& state) {
  const Linear p(state);
  const Filled gradient({p.n, p.k}, DType::f32);
  repeat(state, "GFLOP/s", p.flop(), [&] {
    backend().linear_backward_weight(
        {.weight_gradient = gradient, .output_gradient = p.output, .input = p.input});
  });
}

benchmark::internal::Benchmark* with_products(benchmark::internal::Benchmark* benchmark,
                                              const Shapes& shapes) {
  for (const auto& [n, k] : shapes.products) {
    for (int64_t dtype : shapes.dtypes) benchmark->Args({n, k, dtype});
  }
  return benchmark;
}

// Arguments: heads, heads of keys, head size, dtype. Causal products counted once.
struct Attention {
  explicit Attention(const benchmark::State& state)
      : heads(static_cast<int>(state.range(0))),
        kv_heads(static_cast<int>(state.range(1))),
        head_dim(static_cast<int>(state.range(2))),
        dtype(dtype_of_argument(state.range(3))),
        qkv({token_count(), (heads + 2 * kv_heads) * head_dim}, dtype),
        qkv_gradient({token_count(), (heads + 2 * kv_heads) * head_dim}, dtype),
        output({token_count(), heads * head_dim}, dtype),
        output_gradient({token_count(), heads * head_dim}, dtype),
        log_sum_exp({heads, token_count()}, DType::f32),
        offsets(equal_sequences()),
        workspace(std::max(
            backend().attention_workspace_bytes(token_count(), heads, kv_heads, head_dim, dtype),
            backend().attention_backward_workspace_bytes(token_count(), heads, kv_heads, head_dim,
                                                         dtype))) {
    forward();
  }

  static std::vector<int32_t> equal_sequences() {
    std::vector<int32_t> offsets;
    for (int s = 0; s <= sequence_count; ++s) offsets.push_back(s * sequence_length);
    return offsets;
  }
  float scale() const { return 1.0f / std::sqrt(static_cast<float>(head_dim)); }
  void forward() const {
    backend().attention_forward({.output = output,
                                 .log_sum_exp = log_sum_exp,
                                 .qkv = qkv,
                                 .sequence_offsets = offsets,
                                 .n_heads = heads,
                                 .n_kv_heads = kv_heads,
                                 .max_sequence_length = sequence_length,
                                 .scale = scale(),
                                 .workspace = workspace});
  }
  void backward() const {
    backend().attention_backward({.qkv_gradient = qkv_gradient,
                                  .output_gradient = output_gradient,
                                  .output = output,
                                  .log_sum_exp = log_sum_exp,
                                  .qkv = qkv,
                                  .sequence_offsets = offsets,
                                  .n_heads = heads,
                                  .n_kv_heads = kv_heads,
                                  .max_sequence_length = sequence_length,
                                  .scale = scale(),
                                  .workspace = workspace});
  }
  double forward_flop() const {
    const double length = static_cast<double>(sequence_length);
    return 2.0 * sequence_count * length * length * static_cast<double>(heads * head_dim);
  }

  int heads, kv_heads, head_dim;
  DType dtype;
  Filled qkv, qkv_gradient, output, output_gradient, log_sum_exp, offsets, workspace;
};

void attention(benchmark::State& state) {
  const Attention p(state);
  repeat(state, "GFLOP/s", p.forward_flop(), [&] { p.forward(); });
}

// Five products where forward has two.
void attention_backward(benchmark::State& state) {
  const Attention p(state);
  repeat(state, "GFLOP/s", 2.5 * p.forward_flop(), [&] { p.backward(); });
}

// The weights of every eighth row, as a picture of some answers asks for. Products counted once.
void attention_maxima(benchmark::State& state) {
  const Attention p(state);
  std::vector<int32_t> rows, starts;
  for (int32_t row = 7; row < token_count(); row += 8) {
    rows.push_back(row);
    starts.push_back(row / sequence_length * sequence_length);
  }
  const auto count = static_cast<int64_t>(rows.size());
  const Filled maxima({count, sequence_length}, DType::f32), chosen(rows), first(starts);
  repeat(state, "GFLOP/s", p.forward_flop() / 16, [&] {
    backend().attention_maxima({.maxima = maxima,
                                .qkv = p.qkv,
                                .log_sum_exp = p.log_sum_exp,
                                .rows = chosen,
                                .starts = first,
                                .n_heads = p.heads,
                                .n_kv_heads = p.kv_heads,
                                .scale = p.scale()});
  });
}

// The language head and its loss. Arguments: hidden size, vocabulary, dtype.
struct LanguageHead {
  explicit LanguageHead(const benchmark::State& state)
      : d(state.range(0)),
        v(state.range(1)),
        dtype(dtype_of_argument(state.range(2))),
        hidden({token_count(), d}, dtype),
        hidden_gradient({token_count(), d}, dtype),
        head({v, d}, dtype),
        head_gradient({v, d}, DType::f32),
        logprobs({token_count()}, DType::f32),
        logprob_gradients({token_count()}, DType::f32),
        targets(spread_ids(token_count(), v)),
        workspace(backend().token_logprob_workspace_bytes(token_count(), d, v, dtype)) {}

  double product_flop() const { return 2.0 * static_cast<double>(token_count() * d * v); }

  int64_t d, v;
  DType dtype;
  Filled hidden, hidden_gradient, head, head_gradient, logprobs, logprob_gradients, targets,
      workspace;
};

void language_head_forward(benchmark::State& state) {
  const LanguageHead p(state);
  repeat(state, "GFLOP/s", p.product_flop(), [&] {
    backend().token_logprob_forward({.logprobs = p.logprobs,
                                     .hidden = p.hidden,
                                     .head = {.values = p.head},
                                     .targets = p.targets,
                                     .workspace = p.workspace});
  });
}

// Both directions.
void language_head(benchmark::State& state) {
  const LanguageHead p(state);
  repeat(state, "GFLOP/s", 3 * p.product_flop(), [&] {
    backend().token_logprob_fused({.logprobs = p.logprobs,
                                   .hidden_gradient = p.hidden_gradient,
                                   .head_gradient = p.head_gradient,
                                   .hidden = p.hidden,
                                   .head = {.values = p.head},
                                   .targets = p.targets,
                                   .logprob_gradients = p.logprob_gradients,
                                   .workspace = p.workspace});
  });
}

}  // namespace

void add_product_benchmarks(const Shapes& shapes) {
  with_products(add("linear", linear), shapes)->ArgsProduct({{4096}, {4096}, {0, 1}});
  with_products(add("linear_backward_input", linear_backward_input), shapes);
  with_products(add("linear_backward_weight", linear_backward_weight), shapes);
  with_heads(add("attention", attention), shapes.heads, shapes.dtypes);
  with_heads(add("attention_backward", attention_backward), shapes.heads, shapes.dtypes);
  with_heads(add("attention_maxima", attention_maxima), shapes.heads, shapes.dtypes);
  add("language_head_forward", language_head_forward)
      ->ArgsProduct({shapes.hidden, {vocab_size}, shapes.dtypes});
  add("language_head", language_head)->ArgsProduct({shapes.hidden, {vocab_size}, shapes.dtypes});
}

}  // namespace cria
