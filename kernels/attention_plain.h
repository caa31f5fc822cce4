// Tiles of fp32 in shared memory and their products on plain multiply-adds, as the attention
// kernels use them. A block has 16 x 16 threads on tiles of kRows rows; of a result, thread (y, x)
// holds the rows y kMicro + i and the columns x + 16 j. So a row lies in 16 lanes of one warp.
#pragma once

#include "kernels/attention_tile.h"

namespace cria::CRIA_GPU::attention {

constexpr int kSide = 16;
constexpr int kPlainThreads = kSide * kSide;

__device__ inline int thread_x() { return static_cast<int>(threadIdx.x) % kSide; }
__device__ inline int thread_y() { return static_cast<int>(threadIdx.x) / kSide; }

template <int kHeadDim>
struct PlainTile {
  static constexpr int kMicro = kHeadDim <= 64 ? 4 : 2;  // four tiles fit into shared memory
  static constexpr int kRows = kSide * kMicro;
  static constexpr int kStride = kHeadDim + 4;  // the same columns of 8 rows lie in all banks
  static constexpr int kElements = kRows * kStride;
  static constexpr int kColumns = kHeadDim / kSide;  // of a result, per thread
  // Results that are the left operand of another product. The rows of the two halves of a warp,
  // kMicro apart, lie 16 banks apart.
  static constexpr int kWeightStride = kRows + 16 / kMicro;
  static constexpr int kWeightElements = kRows * kWeightStride;

  using Scores = float[kMicro][kMicro];     // [rows, rows of the other tile]
  using Columns = float[kMicro][kColumns];  // [rows, columns of the head]

  __device__ static int row(int i) { return thread_y() * kMicro + i; }
  __device__ static int column(int j) { return thread_x() + kSide * j; }

  __device__ static void load(float* tile, const HeadRows<const float>& source) {
    constexpr int kPieces = kHeadDim / 4;
    for (int index = static_cast<int>(threadIdx.x); index < kRows * kPieces;
         index += kPlainThreads) {
      const int tile_row = index / kPieces, first = index % kPieces * 4;
      const int columns = tile_row < source.rows ? source.columns : 0;
      store(tile + tile_row * kStride + first,
            load_columns<4>(source.row(tile_row), first, columns, source.vectorized));
    }
  }

  // d = left right^T
  __device__ static void multiply(Scores& d, const float* left, const float* right) {
#pragma unroll
    for (int i = 0; i < kMicro; ++i) {
#pragma unroll
      for (int j = 0; j < kMicro; ++j) d[i][j] = 0.0f;
    }
#pragma unroll 4
    for (int c = 0; c < kHeadDim; c += 4) {
      Vector<float, 4> a[kMicro], b[kMicro];
#pragma unroll
      for (int i = 0; i < kMicro; ++i) {
        a[i] = CRIA_GPU::load(left + row(i) * kStride + c);
        b[i] = CRIA_GPU::load(right + column(i) * kStride + c);
      }
#pragma unroll
      for (int i = 0; i < kMicro; ++i) {
#pragma unroll
        for (int j = 0; j < kMicro; ++j) {
#pragma unroll
          for (int k = 0; k < 4; ++k) d[i][j] += a[i][k] * b[j][k];
        }
      }
    }
  }

  // d += w tile. The weights of a row are exchanged by the lanes that hold it.
  __device__ static void multiply_weights(Columns& d, const Scores& w, float* weights,
                                          const float* tile) {
    __syncwarp();  // what the weights were before has been read
#pragma unroll
    for (int i = 0; i < kMicro; ++i) {
#pragma unroll
      for (int j = 0; j < kMicro; ++j) weights[row(i) * kWeightStride + column(j)] = w[i][j];
    }
    __syncwarp();
#pragma unroll 4
    for (int k = 0; k < kRows; ++k) {
      float factor[kMicro];
#pragma unroll
      for (int i = 0; i < kMicro; ++i) factor[i] = weights[row(i) * kWeightStride + k];
#pragma unroll
      for (int j = 0; j < kColumns; ++j) {
        const float value = tile[k * kStride + column(j)];
#pragma unroll
        for (int i = 0; i < kMicro; ++i) d[i][j] += factor[i] * value;
      }
    }
  }

  __device__ static void store_rows(const HeadRows<float>& target, const Columns& d,
                                    const float (&factor)[kMicro]) {
#pragma unroll
    for (int i = 0; i < kMicro; ++i) {
      if (row(i) >= target.rows) continue;
#pragma unroll
      for (int j = 0; j < kColumns; ++j) {
        if (column(j) < target.columns) target.row(row(i))[column(j)] = d[i][j] * factor[i];
      }
    }
  }
};

}  // namespace cria::CRIA_GPU::attention
