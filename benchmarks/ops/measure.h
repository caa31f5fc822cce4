// What the benchmarks of ops share: the device, tensors filled with numbers, and timing.
#pragma once

#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "cria/core/random.h"
#include "cria/ops/backend.h"

namespace cria {

constexpr int kSequenceLength = 256;
constexpr int64_t kVocabSize = 32000;

inline std::string device = "cpu";

// Of the batch of the ops of training: a GPU takes more to be busy than a CPU.
inline int sequence_count = 8;
inline int64_t token_count() { return int64_t{sequence_count} * kSequenceLength; }

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
    visit_dtype(dtype, [&]<typename T>() {
      std::vector<T> values(static_cast<size_t>(shape.elements()));
      for (size_t i = 0; i < values.size(); ++i) values[i] = T(0.1f * random.normal(i));
      backend().copy_from_host(tensor_, values.data());
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

// Ids of a vocabulary in which none comes twice before all have come.
inline std::vector<int32_t> spread_ids(int64_t count, int64_t vocab_size) {
  std::vector<int32_t> ids;
  for (int64_t t = 0; t < count; ++t) ids.push_back(static_cast<int32_t>(t * 7919 % vocab_size));
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

inline benchmark::internal::Benchmark* add(const char* name, void (*function)(benchmark::State&)) {
  return benchmark::RegisterBenchmark(name, function)->UseRealTime();
}

// Registered in this order: shares are of the copy and of the products before.
void add_product_benchmarks();
void add_memory_benchmarks();
void add_generation_benchmarks();

}  // namespace cria
