// The ops that a training step is made of, at the shapes of the 15m and 110m models, batch 8 x 256:
// GFLOP/s of products and attention, GB/s of what only moves memory. `--benchmark_filter=` picks
// some, `--device=` names the backend. With `--turns` it takes turns with a peer: for each name of
// a benchmark on stdin it runs that one and answers with a line of JSON, as rounds.h does for whole
// programs.
#include <cmath>
#include <iostream>

#include <benchmark/benchmark.h>

#include "cria/core/random.h"
#include "cria/ops/backend.h"

namespace cria {

namespace {

constexpr int64_t kTokens = 2048;
constexpr int kSequences = 8;

std::string device = "cpu";

Backend& backend() {
  static const std::unique_ptr<Backend> instance = make_backend(device);
  return *instance;
}

// Memory of its own on the device: normal values of scale 0.1, integers as given, or bytes.
class Filled {
 public:
  Filled(Shape shape, DType dtype)
      : buffer_(backend().memory(), static_cast<size_t>(shape.elements()) * size_of(dtype)),
        tensor_(buffer_.tensor(dtype, shape)) {
    const Random random(1, Purpose::data_synthesis);
    visit_dtype(dtype, [&]<typename T>() {
      std::vector<T> values(static_cast<size_t>(shape.elements()));
      for (size_t i = 0; i < values.size(); ++i) values[i] = T(0.1f * random.normal(i));
      backend().copy_from_host(tensor_, values.data());
    });
  }
  explicit Filled(const std::vector<int32_t>& values)
      : buffer_(backend().memory(), values.size() * sizeof(int32_t)),
        tensor_(buffer_.tensor(DType::i32, {static_cast<int64_t>(values.size())})) {
    backend().copy_from_host(tensor_, values.data());
  }
  explicit Filled(size_t bytes)
      : buffer_(backend().memory(), bytes),
        tensor_(bytes == 0 ? Tensor{} : buffer_.tensor(DType::u8, {static_cast<int64_t>(bytes)})) {}
  operator Tensor() const { return tensor_; }

 private:
  Buffer buffer_;
  Tensor tensor_;
};

DType dtype_of_argument(int64_t argument) { return argument == 0 ? DType::f32 : DType::bf16; }

template <typename Op>
void repeat(benchmark::State& state, const char* unit, double amount, const Op& op) {
  for (auto _ : state) {
    op();
    backend().synchronize();
  }
  state.counters[unit] =
      benchmark::Counter(amount * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
}

// What memory allows: the bytes read and written by a copy. Argument: elements.
void copy(benchmark::State& state) {
  const int64_t n = state.range(0);
  const Filled from({n}, DType::f32), to({n}, DType::f32);
  repeat(state, "GB/s", 8.0 * static_cast<double>(n), [&] { backend().copy(to, from); });
}
BENCHMARK(copy)->Arg(1 << 24)->UseRealTime();

// Arguments of the products: output size, input size, dtype.
struct Linear {
  explicit Linear(const benchmark::State& state)
      : n(state.range(0)),
        k(state.range(1)),
        dtype(dtype_of_argument(state.range(2))),
        input({kTokens, k}, dtype),
        weight({n, k}, dtype),
        output({kTokens, n}, dtype) {}

  double flop() const { return 2.0 * static_cast<double>(kTokens * n * k); }

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

void product_shapes(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgsProduct({{1536}, {288}, {0, 1}})
      ->ArgsProduct({{4096}, {768}, {0, 1}})
      ->UseRealTime();
}
BENCHMARK(linear)->Apply(product_shapes);
BENCHMARK(linear_backward_input)->Apply(product_shapes);
BENCHMARK(linear_backward_weight)->Apply(product_shapes);

// Arguments: heads, head size, dtype. Causal products counted once.
struct Attention {
  explicit Attention(const benchmark::State& state)
      : heads(static_cast<int>(state.range(0))),
        head_dim(static_cast<int>(state.range(1))),
        dtype(dtype_of_argument(state.range(2))),
        qkv({kTokens, 3 * heads * head_dim}, dtype),
        qkv_gradient({kTokens, 3 * heads * head_dim}, dtype),
        output({kTokens, heads * head_dim}, dtype),
        output_gradient({kTokens, heads * head_dim}, dtype),
        log_sum_exp({heads, kTokens}, DType::f32),
        offsets(equal_sequences()),
        workspace(std::max(
            backend().attention_workspace_bytes(kTokens, heads, heads, head_dim, dtype),
            backend().attention_backward_workspace_bytes(kTokens, heads, heads, head_dim, dtype))) {
    forward();
  }

  static std::vector<int32_t> equal_sequences() {
    std::vector<int32_t> offsets;
    for (int s = 0; s <= kSequences; ++s) offsets.push_back(s * int32_t{kTokens / kSequences});
    return offsets;
  }
  float scale() const { return 1.0f / std::sqrt(static_cast<float>(head_dim)); }
  void forward() const {
    backend().attention_forward({.output = output,
                                 .log_sum_exp = log_sum_exp,
                                 .qkv = qkv,
                                 .sequence_offsets = offsets,
                                 .n_heads = heads,
                                 .n_kv_heads = heads,
                                 .max_sequence_length = kTokens / kSequences,
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
                                  .n_kv_heads = heads,
                                  .max_sequence_length = kTokens / kSequences,
                                  .scale = scale(),
                                  .workspace = workspace});
  }
  double forward_flop() const {
    const double length = static_cast<double>(kTokens) / kSequences;
    return 2.0 * kSequences * length * length * static_cast<double>(heads * head_dim);
  }

  int heads, head_dim;
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

void attention_shapes(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgsProduct({{6}, {48}, {0, 1}})->ArgsProduct({{12}, {64}, {0, 1}})->UseRealTime();
}
BENCHMARK(attention)->Apply(attention_shapes);
BENCHMARK(attention_backward)->Apply(attention_shapes);

// Arguments: hidden size, dtype.
struct RmsNorm {
  explicit RmsNorm(const benchmark::State& state)
      : d(state.range(0)),
        dtype(dtype_of_argument(state.range(1))),
        input({kTokens, d}, dtype),
        residual({kTokens, d}, dtype),
        output({kTokens, d}, dtype),
        sum({kTokens, d}, dtype),
        weight({d}, dtype),
        weight_gradient({d}, DType::f32),
        inverse_rms({kTokens}, DType::f32),
        workspace(backend().rmsnorm_backward_workspace_bytes(kTokens, d)) {
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
  double bytes(int tensors) const {
    return static_cast<double>(tensors * kTokens * d) * static_cast<double>(size_of(dtype));
  }

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
BENCHMARK(residual_rmsnorm)->ArgsProduct({{288, 768}, {0, 1}})->UseRealTime();
BENCHMARK(residual_rmsnorm_backward)->ArgsProduct({{288, 768}, {0, 1}})->UseRealTime();

// Arguments: intermediate size, dtype.
struct Swiglu {
  explicit Swiglu(const benchmark::State& state)
      : f(state.range(0)),
        dtype(dtype_of_argument(state.range(1))),
        gate_up({kTokens, 2 * f}, dtype),
        gate_up_gradient({kTokens, 2 * f}, dtype),
        output({kTokens, f}, dtype) {}

  double bytes(int tensors) const {
    return static_cast<double>(tensors * kTokens * f) * static_cast<double>(size_of(dtype));
  }

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
BENCHMARK(swiglu)->ArgsProduct({{768, 2048}, {0, 1}})->UseRealTime();
BENCHMARK(swiglu_backward)->ArgsProduct({{768, 2048}, {0, 1}})->UseRealTime();

// The language head and its loss, both directions. Arguments: hidden size, vocabulary, dtype.
void language_head(benchmark::State& state) {
  const int64_t d = state.range(0), v = state.range(1);
  const DType dtype = dtype_of_argument(state.range(2));
  std::vector<int32_t> ids;
  for (int64_t t = 0; t < kTokens; ++t) ids.push_back(static_cast<int32_t>(t * 7919 % v));
  const Filled hidden({kTokens, d}, dtype), hidden_gradient({kTokens, d}, dtype),
      head({v, d}, dtype), head_gradient({v, d}, DType::f32), logprobs({kTokens}, DType::f32),
      logprob_gradients({kTokens}, DType::f32), targets(ids),
      workspace(backend().token_logprob_workspace_bytes(kTokens, d, v, dtype));
  repeat(state, "GFLOP/s", 6.0 * static_cast<double>(kTokens * d * v), [&] {
    backend().token_logprob_fused({.logprobs = logprobs,
                                   .hidden_gradient = hidden_gradient,
                                   .head_gradient = head_gradient,
                                   .hidden = hidden,
                                   .head = {.values = head},
                                   .targets = targets,
                                   .logprob_gradients = logprob_gradients,
                                   .workspace = workspace});
  });
}
BENCHMARK(language_head)->ArgsProduct({{288, 768}, {32000}, {0, 1}})->UseRealTime();

// Argument: parameters.
void adamw(benchmark::State& state) {
  const int64_t n = state.range(0);
  const Filled parameters({n}, DType::f32), gradient({n}, DType::f32), first({n}, DType::f32),
      second({n}, DType::f32);
  backend().zero(second);
  int64_t step = 1;
  repeat(state, "GB/s", 7.0 * 4.0 * static_cast<double>(n), [&] {
    backend().adamw({.parameters = parameters,
                     .first_moment = first,
                     .second_moment = second,
                     .gradient = gradient,
                     .learning_rate = 1e-4f,
                     .step = step++});
  });
}
BENCHMARK(adamw)->Arg(1 << 24)->UseRealTime();

// Keeps what a turn measured instead of printing it.
class Turn : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) {
      seconds = run.real_accumulated_time / static_cast<double>(run.iterations);
      for (const auto& [name, counter] : run.counters) {
        unit = name;
        rate = counter.value;
      }
    }
  }

  double seconds = 0;
  std::string unit;
  double rate = 0;
};

void take_turns() {
  for (std::string name; std::getline(std::cin, name);) {
    Turn turn;
    benchmark::RunSpecifiedBenchmarks(&turn, "^" + name + "$");
    fmt::print("{{\"seconds\": {:.9f}, \"rate\": {:.3f}, \"unit\": \"{}\"}}\n", turn.seconds,
               turn.rate, turn.unit);
    std::fflush(stdout);
  }
}

}  // namespace

}  // namespace cria

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  bool turns = false;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--turns") {
      turns = true;
    } else if (argument.starts_with("--device=")) {
      cria::device = argument.substr(argument.find('=') + 1);
    } else {
      std::cerr << "error: " << argument << ": no such option; --device=NAME, --turns, or one of\n";
      benchmark::PrintDefaultHelp();
      return 2;
    }
  }
  try {
    if (turns) {
      cria::take_turns();
    } else {
      benchmark::RunSpecifiedBenchmarks();
    }
  } catch (const cria::Error& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
