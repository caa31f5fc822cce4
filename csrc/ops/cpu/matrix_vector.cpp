#include "matrix_vector.h"

#include "cria/core/parallel.h"

#include "vector_math.h"

namespace cria::cpu {

namespace {

// A row is summed in this many independent lanes: enough chains of additions to keep up with
// memory, which is read front to back.
constexpr int64_t kLanes = 64;
constexpr int64_t kElementsPerThread = int64_t{1} << 14;  // less is not worth another thread

template <typename T>
float dot(const T* row, const T* vector, int64_t k) {
  float lanes[kLanes] = {};
  const int64_t whole = k - k % kLanes;
  for (int64_t i = 0; i < whole; i += kLanes) {
#pragma omp simd
    for (int64_t l = 0; l < kLanes; ++l) {
      lanes[l] += static_cast<float>(row[i + l]) * static_cast<float>(vector[i + l]);
    }
  }
  float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
  for (int64_t l = 0; l < kLanes; ++l) sum += lanes[l];
#pragma omp simd reduction(+ : sum)
  for (int64_t i = whole; i < k; ++i) {
    sum += static_cast<float>(row[i]) * static_cast<float>(vector[i]);
  }
  return sum;
}

}  // namespace

void multiply_by_vector(Tensor output, Tensor matrix, Tensor vector, bool accumulate) {
  const int64_t n = matrix.shape[0];
  const int64_t k = matrix.shape[1];
  CRIA_ASSERT(output.size() == n && vector.size() == k && vector.dtype == matrix.dtype);
  visit_dtype(matrix.dtype, [&]<typename T>() {
    visit_dtype(output.dtype, [&]<typename Out>() {
      parallel_for(n, kElementsPerThread / k + 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          const float sum = dot(matrix.as<T>() + i * k, vector.as<T>(), k);
          Out& target = output.as<Out>()[i];
          store(target, accumulate ? static_cast<float>(target) + sum : sum);
        }
      });
    });
  });
}

}  // namespace cria::cpu
