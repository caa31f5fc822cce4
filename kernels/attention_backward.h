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
  const int32_t* positions;
  const float* rope_table;  // null: the kernels do not turn dq and dk
  float* dot;               // [n_heads, T]: D
  int sequences;
  int64_t tokens;
  int n_heads;
  int n_kv_heads;
  int head_dim;
  int group;          // query heads to a key head
  int qkv_stride;     // from row to row of qkv and of its gradient
  int output_stride;  // and of output and of its gradient
  float scale;
  bool vectorized;

  // Head `column` of qkv, rows of the pack.
  __device__ int64_t qkv_offset(int64_t row, int column) const {
    return row * qkv_stride + int64_t{column} * head_dim;
  }
  __device__ HeadRows<const T> rows(int64_t row, int row_count, int column) const {
    return {qkv + qkv_offset(row, column), qkv_stride, row_count, head_dim, vectorized};
  }
  __device__ HeadRows<T> gradient_rows(int64_t row, int row_count, int column) const {
    return {qkv_gradient + qkv_offset(row, column), qkv_stride, row_count, head_dim, vectorized};
  }
  __device__ HeadRows<const T> output_gradient_rows(int64_t row, int row_count, int head) const {
    return {output_gradient + row * output_stride + int64_t{head} * head_dim, output_stride,
            row_count, head_dim, vectorized};
  }
  // The same of a tile of all heads of a group.
  __device__ GroupRows<const T> query_rows(const RowTile& tile, int kv_head) const {
    return group_rows(qkv, qkv_stride, tile, kv_head, head_dim, vectorized);
  }
  __device__ GroupRows<T> query_gradient_rows(const RowTile& tile, int kv_head) const {
    return group_rows(qkv_gradient, qkv_stride, tile, kv_head, head_dim, vectorized);
  }
  __device__ GroupRows<const T> output_gradient_rows(const RowTile& tile, int kv_head) const {
    return group_rows(output_gradient, output_stride, tile, kv_head, head_dim, vectorized);
  }
  __device__ int key_head(int kv_head) const { return n_heads + kv_head; }
  __device__ int value_head(int kv_head) const { return n_heads + n_kv_heads + kv_head; }

  __device__ float probability(float score, float log_sum_exp_of_query) const {
    return fast_exp2(fmaf(score, scale * kLog2E, -log_sum_exp_of_query * kLog2E));
  }
};

// Kernels 2 and 3 of attention_backward.cu: in fp32, and in bf16 one of them each, in
// attention_backward_{plain,keys,queries}.cu.
void backward_plain(const BackwardParameters<float>& parameters, Stream stream);
void backward_keys(const BackwardParameters<bf16>& parameters, Stream stream);
void backward_queries(const BackwardParameters<bf16>& parameters, Stream stream);

}  // namespace cria::CRIA_GPU::attention
