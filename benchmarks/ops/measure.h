// What the benchmarks of ops share: the device, tensors filled with numbers, and timing.
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include <benchmark/benchmark.h>

#include "cria/core/random.h"
#include "cria/ops/backend.h"

namespace cria {

inline std::string device = "cpu";
inline int64_t vocab_size = 32000;
inline int64_t element_count = 1 << 24;  // of what goes over flat buffers

// Of the batch of the ops of training: a GPU takes more to be busy than a CPU.
inline int sequence_count = 8;
inline int sequence_length = 256;
// Of the ops of generation.
inline int64_t decoding_rows = 32;
inline int64_t decoding_context = 1024;

inline int64_t token_count() { return int64_t{sequence_count} * sequence_length; }

struct Heads {
  int64_t query, key, size;
};

// Of the models whose ops are measured.
struct Shapes {
  std::vector<int64_t> hidden, intermediate;
  std::vector<Heads> heads, decoding_heads;
  std::vector<std::pair<int64_t, int64_t>> products;  // output and input size
  std::vector<int64_t> dtypes;                        // 0: fp32, 1: bf16
};

// Those of the 15m and 110m models.
inline const Shapes kSmallShapes = {.hidden = {288, 768},
                                    .intermediate = {768, 2048},
                                    .heads = {{6, 6, 48}, {12, 12, 64}},
                                    .decoding_heads = {{12, 12, 64}, {12, 4, 64}, {12, 1, 64}},
                                    .products = {{1536, 288}, {4096, 768}},
                                    .dtypes = {0, 1}};
// Those of TinyLlama 1.1B and Llama 2 7B; products: q, k and v, attention's output, gate and up,
// down.
inline const Shapes kLlamaShapes = {.hidden = {2048, 4096},
                                    .intermediate = {5632, 11008},
                                    .heads = {{32, 4, 64}, {32, 32, 128}},
                                    .decoding_heads = {{32, 4, 64}, {32, 32, 128}},
                                    .products = {{2560, 2048},
                                                 {2048, 2048},
                                                 {11264, 2048},
                                                 {2048, 5632},
                                                 {12288, 4096},
                                                 {4096, 4096},
                                                 {22016, 4096},
                                                 {4096, 11008}},
                                    .dtypes = {1}};

inline Backend& backend() {
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
    const int64_t piece = std::min<int64_t>(tensor_.size(), 1 << 20);  // again and again
    visit_dtype(dtype, [&]<typename T>() {
      std::vector<T> values(static_cast<size_t>(piece));
      for (size_t i = 0; i < values.size(); ++i) values[i] = T(0.1f * random.normal(i));
      for (int64_t first = 0; first < tensor_.size(); first += piece) {
        const int64_t count = std::min(piece, tensor_.size() - first);
        backend().copy_from_host(tensor_.flat(first, count), values.data());
      }
    });
  }
  explicit Filled(const std::vector<int32_t>& values)
      : Filled(values, {static_cast<int64_t>(values.size())}) {}
  Filled(const std::vector<int32_t>& values, Shape shape)
      : buffer_(backend().memory(), values.size() * sizeof(int32_t)),
        tensor_(buffer_.tensor(DType::i32, shape)) {
    backend().copy_from_host(tensor_, values.data());
  }
  explicit Filled(const std::vector<float>& values)
      : buffer_(backend().memory(), values.size() * sizeof(float)),
        tensor_(buffer_.tensor(DType::f32, {static_cast<int64_t>(values.size())})) {
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

inline DType dtype_of_argument(int64_t argument) {
  return argument == 0 ? DType::f32 : DType::bf16;
}

// Ids of a vocabulary of that size in which none comes twice before all have come.
inline std::vector<int32_t> spread_ids(int64_t count, int64_t size) {
  std::vector<int32_t> ids;
  for (int64_t t = 0; t < count; ++t) ids.push_back(static_cast<int32_t>(t * 7919 % size));
  return ids;
}

// Times op; a call does `amount` flop or moves `amount` bytes. A GPU gets many calls at once, as in
// a training step.
template <typename Op>
void repeat(benchmark::State& state, const char* unit, double amount, const Op& op) {
  const int calls = backend().device() == Device::cuda ? 32 : 1;
  op();  // what is done on first use of a shape
  backend().synchronize();
  while (state.KeepRunningBatch(calls)) {
    for (int i = 0; i < calls; ++i) op();
    backend().synchronize();
  }
  state.counters[unit] =
      benchmark::Counter(amount * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
}

// Once for each kind of heads and dtype.
inline void with_heads(benchmark::internal::Benchmark* benchmark, const std::vector<Heads>& kinds,
                       const std::vector<int64_t>& dtypes) {
  for (const Heads& heads : kinds) {
    for (int64_t dtype : dtypes) benchmark->Args({heads.query, heads.key, heads.size, dtype});
  }
}

inline benchmark::internal::Benchmark* add(const char* name, void (*function)(benchmark::State&)) {
  return benchmark::RegisterBenchmark(name, function)->UseRealTime();
}

// Registered in this order: shares are of the copy and of the products before.
void add_memory_benchmarks(const Shapes& shapes);
void add_product_benchmarks(const Shapes& shapes);
void add_generation_benchmarks(const Shapes& shapes);

}  // namespace cria
