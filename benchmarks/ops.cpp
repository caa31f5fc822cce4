// The ops that a training step is made of, at the shapes of the 15m and 110m models, batch 8 x 256:
// GFLOP/s of products and attention, GB/s of what only moves memory. `--benchmark_filter=` picks
// some.
#include <cmath>

#include <benchmark/benchmark.h>

#include "cria/core/random.h"
#include "cria/ops/backend.h"

namespace cria {

namespace {

constexpr int64_t kTokens = 2048;
constexpr int kSequences = 8;

Backend& backend() {
  static const std::unique_ptr<Backend> instance = make_backend("cpu");
  return *instance;
}

// Normal values of scale 0.1 in memory of its own.
class Filled {
 public:
  Filled(Shape shape, DType dtype)
      : buffer_(backend().memory(), static_cast<size_t>(shape.elements()) * size_of(dtype)),
        tensor_(buffer_.tensor(dtype, shape)) {
    const Random random(1, Purpose::data_synthesis);
    visit_dtype(dtype, [&]<typename T>() {
      for (int64_t i = 0; i < tensor_.size(); ++i) {
        tensor_.as<T>()[i] = T(0.1f * random.normal(static_cast<uint64_t>(i)));
      }
    });
  }
  operator Tensor() const { return tensor_; }

 private:
  Buffer buffer_;
  Tensor tensor_;
};

DType dtype_of_argument(int64_t argument) { return argument == 0 ? DType::f32 : DType::bf16; }

void rate(benchmark::State& state, const char* unit, double amount) {
  state.counters[unit] =
      benchmark::Counter(amount * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
}

// Arguments: output size, input size, dtype.
void linear(benchmark::State& state) {
  const int64_t n = state.range(0), k = state.range(1);
  const DType dtype = dtype_of_argument(state.range(2));
  const Filled input({kTokens, k}, dtype), weight({n, k}, dtype), output({kTokens, n}, dtype);
  Buffer packed(backend().memory(), backend().linear_packed_bytes(weight, LinearUse::forward));
  LinearWeight operand{.values = weight};
  if (packed.bytes() > 0) {
    operand.packed_forward = packed.tensor(DType::u8, Shape{static_cast<int64_t>(packed.bytes())});
    backend().linear_pack({.packed = operand.packed_forward, .values = weight});
  }
  for (auto _ : state) {
    backend().linear_forward({.output = output, .input = input, .weight = operand});
  }
  rate(state, "GFLOP/s", 2.0 * static_cast<double>(kTokens * n * k));
}
BENCHMARK(linear)
    ->ArgsProduct({{1536}, {288}, {0, 1}})
    ->ArgsProduct({{4096}, {768}, {0, 1}})
    ->UseRealTime();

// Arguments: heads, head size, dtype. Causal products counted once.
void attention(benchmark::State& state) {
  const int heads = static_cast<int>(state.range(0));
  const int64_t head_dim = state.range(1);
  const DType dtype = dtype_of_argument(state.range(2));
  const Filled qkv({kTokens, 3 * heads * head_dim}, dtype);
  const Filled output({kTokens, heads * head_dim}, dtype);
  const Filled log_sum_exp({heads, kTokens}, DType::f32);
  std::vector<int32_t> offsets;
  for (int s = 0; s <= kSequences; ++s) offsets.push_back(s * int32_t{kTokens / kSequences});
  const size_t bytes =
      backend().attention_workspace_bytes(kTokens, heads, heads, static_cast<int>(head_dim), dtype);
  const Buffer workspace(backend().memory(), bytes);
  for (auto _ : state) {
    backend().attention_forward(
        {.output = output,
         .log_sum_exp = log_sum_exp,
         .qkv = qkv,
         .sequence_offsets = host_tensor(offsets.data(), {kSequences + 1}),
         .n_heads = heads,
         .n_kv_heads = heads,
         .max_sequence_length = kTokens / kSequences,
         .scale = 1.0f / std::sqrt(static_cast<float>(head_dim)),
         .workspace = workspace.tensor(DType::u8, Shape{static_cast<int64_t>(bytes)})});
  }
  const double length = static_cast<double>(kTokens) / kSequences;
  rate(state, "GFLOP/s",
       2.0 * kSequences * length * length * static_cast<double>(heads * head_dim));
}
BENCHMARK(attention)
    ->ArgsProduct({{6}, {48}, {0, 1}})
    ->ArgsProduct({{12}, {64}, {0, 1}})
    ->UseRealTime();

// Arguments: hidden size, dtype.
void residual_rmsnorm(benchmark::State& state) {
  const int64_t d = state.range(0);
  const DType dtype = dtype_of_argument(state.range(1));
  const Filled input({kTokens, d}, dtype), residual({kTokens, d}, dtype),
      output({kTokens, d}, dtype), sum({kTokens, d}, dtype), weight({d}, dtype),
      inverse_rms({kTokens}, DType::f32);
  for (auto _ : state) {
    backend().rmsnorm_forward({.output = output,
                               .residual_output = sum,
                               .inverse_rms = inverse_rms,
                               .input = input,
                               .residual = residual,
                               .weight = weight});
  }
  rate(state, "GB/s", 4.0 * static_cast<double>(kTokens * d) * static_cast<double>(size_of(dtype)));
}
BENCHMARK(residual_rmsnorm)->ArgsProduct({{288, 768}, {0, 1}})->UseRealTime();

// Arguments: intermediate size, dtype.
void swiglu(benchmark::State& state) {
  const int64_t f = state.range(0);
  const DType dtype = dtype_of_argument(state.range(1));
  const Filled gate_up({kTokens, 2 * f}, dtype), output({kTokens, f}, dtype);
  for (auto _ : state) backend().swiglu_forward({.output = output, .gate_up = gate_up});
  rate(state, "GB/s", 3.0 * static_cast<double>(kTokens * f) * static_cast<double>(size_of(dtype)));
}
BENCHMARK(swiglu)->ArgsProduct({{768, 2048}, {0, 1}})->UseRealTime();

// Argument: parameters.
void adamw(benchmark::State& state) {
  const int64_t n = state.range(0);
  const Filled parameters({n}, DType::f32), gradient({n}, DType::f32), first({n}, DType::f32),
      second({n}, DType::f32);
  backend().zero(second);
  int64_t step = 1;
  for (auto _ : state) {
    backend().adamw({.parameters = parameters,
                     .first_moment = first,
                     .second_moment = second,
                     .gradient = gradient,
                     .learning_rate = 1e-4f,
                     .step = step++});
  }
  rate(state, "GB/s", 7.0 * 4.0 * static_cast<double>(n));
}
BENCHMARK(adamw)->Arg(1 << 24)->UseRealTime();

}  // namespace

}  // namespace cria

BENCHMARK_MAIN();
