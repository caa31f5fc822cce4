// Tiles of bf16 in shared memory and their products on tensor cores, as the attention kernels use
// them. A block has kWarps warps; each owns 16 rows of the result, a row in the four lanes of a
// quad. Results stay in registers: d[n][e] of a lane is row lane / 4 + 8 (e / 2) of the warp's 16
// and column 8 n + 2 (lane % 4) + e % 2 (kernels/device/mma.h), which is also how a result becomes
// the left operand of the next product.
#pragma once

#include "kernels/attention_tile.h"
#include "kernels/device/async_copy.h"
#include "kernels/device/mma.h"

namespace cria::CRIA_GPU::attention {

constexpr int kWarps = 4;
constexpr int kThreads = kWarps * kWarpSize;
constexpr int kWarpRows = 16;
constexpr int kBlockRows = kWarps * kWarpRows;

// The row and the column of d[n][e] of this lane.
__device__ inline int row_of(int element) { return lane() / 4 + element / 2 * 8; }
__device__ inline int column_of(int n, int element) { return 8 * n + lane() % 4 * 2 + element % 2; }

// Rows of kColumns bf16. The 16-byte chunks of a row change places with the row, so that the eight
// rows of a matrix of ldmatrix, at the same chunk each, lie in all 32 banks.
template <int kColumns>
struct SwizzledTile {
  static constexpr int kChunks = kColumns / 8;
  static constexpr int kPlaces = kChunks < 8 ? kChunks : 8;
  static constexpr int kRowsPerLine = 8 / kPlaces;  // that fit into the 128 bytes of all banks

  bf16* data;

  __device__ bf16* chunk(int row, int index) const {
    return data + row * kColumns + (index ^ (row / kRowsPerLine % kPlaces)) * 8;
  }
};

// Starts to copy kRows rows into a tile, with zeros around what exists. Done after the thread's
// wait and a barrier of the block.
template <int kRows, int kColumns>
__device__ void load_tile(SwizzledTile<kColumns> tile, const HeadRows<const bf16>& source) {
  constexpr int kChunks = kColumns / 8;
  static_assert(kRows * kChunks % kThreads == 0);
  const auto load_chunks = [&](int i, auto load_chunk) {
    const int index = i * kThreads + static_cast<int>(threadIdx.x);
    const int row = index / kChunks, chunk = index % kChunks;
    load_chunk(tile.chunk(row, chunk), row, chunk * 8, row < source.rows ? source.columns : 0);
  };
  if (source.vectorized) {
#pragma unroll
    for (int i = 0; i < kRows * kChunks / kThreads; ++i) {
      load_chunks(i, [&](bf16* target, int row, int column, int columns) {
        const bool exists = column < columns;
        async_copy_16(target, exists ? source.row(row) + column : source.first, exists);
      });
    }
  } else {
#pragma unroll 1
    for (int i = 0; i < kRows * kChunks / kThreads; ++i) {
      load_chunks(i, [&](bf16* target, int row, int column, int columns) {
        store(target, from_float<bf16>(load_columns<8>(source.row(row), column, columns, false)));
      });
    }
  }
}

// Left operand: rows [row, row + 16), columns [16 step, 16 step + 16).
template <int kColumns>
__device__ void load_left(uint32_t (&a)[4], SwizzledTile<kColumns> tile, int row, int step) {
  ldmatrix_x4(a, tile.chunk(row + lane() % 16, 2 * step + lane() / 16));
}

__device__ inline void multiply_pair(float (&first)[4], float (&second)[4], const uint32_t (&a)[4],
                                     const uint32_t (&b)[4]) {
  mma_m16n8k16(first, a, {b[0], b[1]});
  mma_m16n8k16(second, a, {b[2], b[3]});
}

// d[16, kRows] += a tile[kRows, kColumns]^T; load(a, step) brings columns [16 step, ...) of a.
template <int kTiles, int kColumns, typename Load>
__device__ void multiply_rows(float (&d)[kTiles][4], SwizzledTile<kColumns> tile, Load load) {
#pragma unroll
  for (int step = 0; step < kColumns / 16; ++step) {
    uint32_t a[4];
    load(a, step);
#pragma unroll
    for (int n = 0; n < kTiles; n += 2) {
      uint32_t b[4];
      const int row = 8 * n + lane() / 16 * 8 + lane() % 8;
      ldmatrix_x4(b, tile.chunk(row, 2 * step + lane() / 8 % 2));
      multiply_pair(d[n], d[n + 1], a, b);
    }
  }
}

// d[16, kColumns] += w[16, kRows] tile[kRows, from first_chunk on], w rounded to bf16.
template <int kTiles, int kRowTiles, int kColumns>
__device__ void multiply_weights(float (&d)[kTiles][4], const float (&w)[kRowTiles][4],
                                 SwizzledTile<kColumns> tile, int first_chunk) {
#pragma unroll
  for (int step = 0; step < kRowTiles / 2; ++step) {
    const float(&left)[4] = w[2 * step];
    const float(&right)[4] = w[2 * step + 1];
    const uint32_t a[4] = {pack_bf16(left[0], left[1]), pack_bf16(left[2], left[3]),
                           pack_bf16(right[0], right[1]), pack_bf16(right[2], right[3])};
#pragma unroll
    for (int n = 0; n < kTiles; n += 2) {
      uint32_t b[4];
      ldmatrix_x4_transposed(b, tile.chunk(16 * step + lane() % 16, first_chunk + n + lane() / 16));
      multiply_pair(d[n], d[n + 1], a, b);
    }
  }
}

// Stores factor[e / 2] d as rows of a head: `target` starts at the warp's first row. The rows go
// through `staging`, 16 rows that the warp has for itself and that nobody has read since the
// block's last barrier, to leave in pieces of 16 bytes.
template <int kTiles>
__device__ void store_rows(const HeadRows<bf16>& target, const float (&d)[kTiles][4],
                           const float (&factor)[2], SwizzledTile<8 * kTiles> staging) {
#pragma unroll
  for (int n = 0; n < kTiles; ++n) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const Vector<float, 2> pair = {d[n][2 * half] * factor[half],
                                     d[n][2 * half + 1] * factor[half]};
      store(staging.chunk(row_of(2 * half), n) + lane() % 4 * 2, from_float<bf16>(pair));
    }
  }
  __syncwarp();
#pragma unroll
  for (int i = 0; i < kWarpRows * kTiles / kWarpSize; ++i) {
    const int index = i * kWarpSize + lane();
    const int row = index / kTiles, chunk = index % kTiles;
    if (row >= target.rows) continue;
    store_columns(target.row(row), chunk * 8, target.columns, target.vectorized,
                  load(staging.chunk(row, chunk)));
  }
}

}  // namespace cria::CRIA_GPU::attention
