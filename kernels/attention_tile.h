// What the attention kernels share: which rows a block works on, and the heads' rows in memory.
//
// Every sequence of a pack is cut into tiles of kRows rows from its own first row, so the
// arithmetic of a row does not depend on where its sequence stands in the pack. A tile of queries
// may hold those of all heads that share a key head, so that keys and values in shared memory serve
// the whole group. Head sizes up to 256 are computed in tiles of 32, 64, 128 or 256 columns, with
// zeros after the head's last one.
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

// a b, rounded: no part of a multiply-add.
__device__ inline float rounded_product(float a, float b) {
#ifdef __CUDACC__
  return __fmul_rn(a, b);
#else
  const volatile float product = a * b;
  return product;
#endif
}

// Rows [first, first + rows) of a sequence, which starts at token sequence_begin of the pack. Each
// token has `group` rows.
struct RowTile {
  int sequence_begin;
  int sequence_length;  // in tokens
  int group;
  int first;
  int rows;  // 0: no tile

  // The token of a row of the tile, counted from the sequence's first.
  __device__ int token(int row) const {
    return static_cast<int>(static_cast<unsigned>(first + row) / static_cast<unsigned>(group));
  }
  // Where a row is in a matrix [heads, T], with the heads of a group one after the other.
  __device__ int64_t index(int row, int kv_head, int64_t tokens) const {
    const int head =
        static_cast<int>(static_cast<unsigned>(first + row) % static_cast<unsigned>(group));
    return (int64_t{kv_head} * group + head) * tokens + sequence_begin + token(row);
  }
};

// Tiles of the pack are numbered with gaps: those of sequence s start at number group offsets[s] /
// kRows + s. That leaves each sequence room enough wherever it begins, so a block finds its own by
// a search, and the host need not know the offsets.
template <int kRows>
int64_t tile_numbers(int64_t tokens, int64_t sequences, int group = 1) {
  return tokens * group / kRows + sequences;
}

template <int kRows>
__device__ RowTile find_tile(const int32_t* offsets, int sequences, int number, bool last_first,
                             int group = 1) {
  int low = 0, high = sequences;
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    if (offsets[middle] * group / kRows + middle <= number) {
      low = middle;
    } else {
      high = middle;
    }
  }
  const int begin = offsets[low];
  const int length = offsets[low + 1] - begin;
  const int rows = length * group;
  const int tiles = (rows + kRows - 1) / kRows;
  int index = number - (begin * group / kRows + low);
  if (index >= tiles) return {begin, length, group, 0, 0};
  if (last_first) index = tiles - 1 - index;
  const int first = index * kRows;
  return {begin, length, group, first, rows - first < kRows ? rows - first : kRows};
}

// Rows of one head in a matrix of many heads.
template <typename T>
struct HeadRows {
  T* first;
  int stride;
  int rows;         // those that exist; a tile has zeros in the others
  int columns;      // of the head; the tile has zeros after them
  bool vectorized;  // rows can be moved in pieces of 16 bytes

  __device__ T* row(int index) const { return first + int64_t{index} * stride; }
  __device__ HeadRows from(int index) const {
    return {row(index), stride, rows - index, columns, vectorized};
  }
};

// The same of all heads of a group: row r of a token's first one on is head r % group of token r /
// group.
template <typename T>
struct GroupRows {
  T* first;  // the first head of the token that rows are counted from
  int stride;
  int group;
  int begin;  // row 0 of the tile
  int rows;
  int columns;
  bool vectorized;

  __device__ T* row(int index) const {
    const auto place = static_cast<unsigned>(begin + index), heads = static_cast<unsigned>(group);
    return first + int64_t{place / heads} * stride + place % heads * static_cast<unsigned>(columns);
  }
  __device__ GroupRows from(int index) const {
    return {first, stride, group, begin + index, rows - index, columns, vectorized};
  }
};

// The heads of a group, rows of a tile, in a matrix whose rows have `stride` elements and start
// with the heads.
template <typename T>
__device__ GroupRows<T> group_rows(T* matrix, int stride, const RowTile& tile, int kv_head,
                                   int head_dim, bool vectorized) {
  T* const first =
      matrix + int64_t{tile.sequence_begin} * stride + int64_t{kv_head} * tile.group * head_dim;
  return {first, stride, tile.group, tile.first, tile.rows, head_dim, vectorized};
}

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
    if (column < columns) store_global(row + column, values);
  } else {
#pragma unroll
    for (int i = 0; i < kElements; ++i) {
      if (column + i < columns) row[column + i] = values[i];
    }
  }
}

}  // namespace cria::CRIA_GPU::attention
