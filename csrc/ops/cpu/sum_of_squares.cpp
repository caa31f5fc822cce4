#include "cria/core/parallel.h"

#include "cpu_ops.h"

namespace cria::cpu {

namespace {

constexpr int64_t kChunk = 4096;  // elements summed in fp32

int64_t chunk_count(int64_t elements) { return (elements + kChunk - 1) / kChunk; }

template <typename T>
float sum_chunk(const T* input, int64_t count) {
  float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < count; ++i) {
    sum += static_cast<float>(input[i]) * static_cast<float>(input[i]);
  }
  return sum;
}

}  // namespace

size_t sum_of_squares_workspace_bytes(int64_t elements) {
  return static_cast<size_t>(chunk_count(elements)) * sizeof(float);
}

void sum_of_squares(const SumOfSquares& args) {
  const int64_t elements = args.input.size();
  const int64_t chunks = chunk_count(elements);
  CRIA_ASSERT(args.workspace.bytes() >= sum_of_squares_workspace_bytes(elements));
  auto* chunk_sums = static_cast<float*>(args.workspace.data);
  visit_dtype(args.input.dtype, [&]<typename T>() {
    const T* input = args.input.as<T>();
    parallel_for(chunks, 4, [&](int64_t begin, int64_t end) {
      for (int64_t chunk = begin; chunk < end; ++chunk) {
        const int64_t first = chunk * kChunk;
        chunk_sums[chunk] = sum_chunk(input + first, std::min(kChunk, elements - first));
      }
    });
  });
  double total = 0.0;
  for (int64_t chunk = 0; chunk < chunks; ++chunk) total += static_cast<double>(chunk_sums[chunk]);
  *args.output.as<float>() = static_cast<float>(total);
}

}  // namespace cria::cpu
