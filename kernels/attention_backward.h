// What the kernels of attention's backward pass work on.
#pragma once

#include "kernels/attention_tile.h"

namespace cria::CRIA_GPU::attention {

template <typename T>
struct BackwardParameters {
  T* qkv_gradient;
  const T* output_gradient;
  const T* output;
  const float* log_sum_exp;
  const T* qkv;
  const int32_t* sequence_offsets;
  float* dot;  // [n_heads, T]: D
  int sequences;
  int64_t tokens;
  int n_heads;
  int n_kv_heads;
  int head_dim;
  float scale;
  bool vectorized;

  // Rows of a pack from `row` on, head `column` of qkv, columns of the head from `first_column` on.
  __device__ int64_t qkv_stride() const { return int64_t{n_heads + 2 * n_kv_heads} * head_dim; }
  __device__ int64_t qkv_offset(int64_t row, int column, int first_column) const {
    return row * qkv_stride() + int64_t{column} * head_dim + first_column;
  }
  __device__ HeadRows<const T> rows(int64_t row, int row_count, int column) const {
    return {qkv + qkv_offset(row, column, 0), qkv_stride(), row_count, head_dim, vectorized};
  }
  __device__ HeadRows<T> gradient_rows(int64_t row, int row_count, int column,
                                       int first_column) const {
    return {qkv_gradient + qkv_offset(row, column, first_column), qkv_stride(), row_count,
            head_dim - first_column, vectorized};
  }
  __device__ HeadRows<const T> output_gradient_rows(int64_t row, int row_count, int head) const {
    const int64_t stride = int64_t{n_heads} * head_dim;
    return {output_gradient + row * stride + int64_t{head} * head_dim, stride, row_count, head_dim,
            vectorized};
  }
  __device__ int group() const { return n_heads / n_kv_heads; }
  __device__ int key_head(int kv_head) const { return n_heads + kv_head; }
  __device__ int value_head(int kv_head) const { return n_heads + n_kv_heads + kv_head; }

  __device__ float probability(float score, float log_sum_exp_of_query) const {
    return fast_exp2((score * scale - log_sum_exp_of_query) * kLog2E);
  }
};

// Kernels 2 and 3 of attention_backward.cu in fp32: kernels/attention_backward_plain.cu.
void backward_plain(const BackwardParameters<float>& parameters, Stream stream);

}  // namespace cria::CRIA_GPU::attention
