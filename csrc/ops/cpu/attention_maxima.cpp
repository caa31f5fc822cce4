#include <algorithm>
#include <cmath>

#include "cria/core/parallel.h"

#include "cpu_ops.h"

namespace cria::cpu {

namespace {

template <typename T>
void maxima_of_rows(const AttentionMaxima& args) {
  const int64_t columns = args.maxima.shape[1];
  const int64_t tokens = args.qkv.shape[0];
  const int64_t width = args.qkv.shape[1];
  const int64_t head_dim = width / (args.n_heads + 2 * args.n_kv_heads);
  const int64_t group = args.n_heads / args.n_kv_heads;
  const T* qkv = args.qkv.as<T>();
  const float* log_sum_exp = args.log_sum_exp.as<float>();
  const int32_t* rows = args.rows.as<int32_t>();
  const int32_t* starts = args.starts.as<int32_t>();
  float* maxima = args.maxima.as<float>();
  parallel_for(args.rows.size(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const int64_t row = rows[r], start = starts[r];
      CRIA_ASSERT(row - start < columns);
      for (int64_t head = 0; head < args.n_heads; ++head) {
        const T* q = qkv + row * width + head * head_dim;
        for (int64_t key = start; key <= row; ++key) {
          const T* k = qkv + key * width + (args.n_heads + head / group) * head_dim;
          float dot = 0.0f;
#pragma omp simd reduction(+ : dot)
          for (int64_t i = 0; i < head_dim; ++i) {
            dot += static_cast<float>(q[i]) * static_cast<float>(k[i]);
          }
          float& most = maxima[r * columns + key - start];
          most = std::max(most, std::exp(args.scale * dot - log_sum_exp[head * tokens + row]));
        }
      }
    }
  });
}

}  // namespace

void attention_maxima(const AttentionMaxima& args) {
  CRIA_ASSERT(args.maxima.shape[0] == args.rows.size());
  CRIA_ASSERT(args.starts.size() == args.rows.size());
  visit_dtype(args.qkv.dtype, [&]<typename T>() { maxima_of_rows<T>(args); });
}

}  // namespace cria::cpu
