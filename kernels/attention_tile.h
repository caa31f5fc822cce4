// What the attention kernels share: which rows a block works on, and the heads' rows in memory.
//
// Every sequence of a pack is cut into tiles of kRows rows from its own first row, so the
// arithmetic of a row does not depend on where its sequence stands in the pack. Head sizes up to
// 256 are computed in tiles of 32, 64, 128 or 256 columns, with zeros after the head's last one.
#pragma once

#include "cria/core/error.h"
#include "cria/core/tensor.h"

#include "kernels/device/device.h"
#include "kernels/device/vector.h"
#include "kernels/device/warp.h"

namespace cria::CRIA_GPU::attention {

constexpr int kMaxHeadDim = 256;
constexpr float kLog2E = 1.44269504f;

inline void check_head_dim(int head_dim) {
  if (head_dim <= kMaxHeadDim) return;
  throw input_error("attention", fmt::format("heads of {} elements", head_dim),
                    fmt::format("a GPU takes up to {}; use the device cpu", kMaxHeadDim));
}

// Calls f.operator()<columns of the tile>().
template <typename F>
void visit_head_dim(int head_dim, F&& f) {
  check_head_dim(head_dim);
  if (head_dim <= 32) {
    f.template operator()<32>();
  } else if (head_dim <= 64) {
    f.template operator()<64>();
  } else if (head_dim <= 128) {
    f.template operator()<128>();
  } else {
    f.template operator()<256>();
  }
}

inline bool aligned_to_vectors(const void* pointer) {
  return reinterpret_cast<uintptr_t>(pointer) % 16 == 0;
}

// 2^x within 2 units of the last place; 0 for -infinity.
__device__ inline float fast_exp2(float x) {
#ifdef __CUDACC__
  float result;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
#else
  return exp2f(x);
#endif
}

// Rows [first, first + rows) of a sequence, which starts at row sequence_begin of the pack.
struct RowTile {
  int64_t sequence_begin;
  int sequence_length;
  int first;
  int rows;  // 0: no tile
};

// Tiles of the pack are numbered with gaps: those of sequence s start at number offsets[s] / kRows
// + s. That leaves each sequence room enough wherever it begins, so a block finds its own by a
// search, and the host need not know the offsets.
template <int kRows>
int64_t tile_numbers(int64_t tokens, int64_t sequences) {
  return tokens / kRows + sequences;
}

template <int kRows>
__device__ RowTile find_tile(const int32_t* offsets, int sequences, int number, bool last_first) {
  int low = 0, high = sequences;
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    if (offsets[middle] / kRows + middle <= number) {
      low = middle;
    } else {
      high = middle;
    }
  }
  const int begin = offsets[low];
  const int length = offsets[low + 1] - begin;
  const int tiles = (length + kRows - 1) / kRows;
  int index = number - (begin / kRows + low);
  if (index >= tiles) return {begin, length, 0, 0};
  if (last_first) index = tiles - 1 - index;
  const int first = index * kRows;
  return {begin, length, first, length - first < kRows ? length - first : kRows};
}

// Rows of one head in a matrix of many heads.
template <typename T>
struct HeadRows {
  T* first;
  int64_t stride;
  int rows;         // those that exist; a tile has zeros in the others
  int columns;      // of the head, from the first of the tile on; the tile has zeros after them
  bool vectorized;  // rows can be moved in pieces of 16 bytes

  __device__ T* row(int index) const { return first + index * stride; }
};

// N neighbouring elements of a row from `column` on, zeros after its last column.
template <int kElements, typename T>
__device__ Vector<float, kElements> load_columns(const T* row, int column, int columns,
                                                 bool vectorized) {
  constexpr int kStep = 16 / sizeof(T) < kElements ? 16 / sizeof(T) : kElements;
  Vector<float, kElements> result;
#pragma unroll
  for (int i = 0; i < kElements; i += kStep) {
    Vector<float, kStep> part = {};
    if (vectorized) {
      if (column + i < columns) part = to_float(load<kStep>(row + column + i));
    } else {
#pragma unroll
      for (int j = 0; j < kStep; ++j) {
        if (column + i + j < columns) part[j] = static_cast<float>(row[column + i + j]);
      }
    }
#pragma unroll
    for (int j = 0; j < kStep; ++j) result[i + j] = part[j];
  }
  return result;
}

template <typename T, int kElements>
__device__ void store_columns(T* row, int column, int columns, bool vectorized,
                              const Vector<T, kElements>& values) {
  if (vectorized) {
    if (column < columns) store(row + column, values);
  } else {
#pragma unroll
    for (int i = 0; i < kElements; ++i) {
      if (column + i < columns) row[column + i] = values[i];
    }
  }
}

}  // namespace cria::CRIA_GPU::attention
