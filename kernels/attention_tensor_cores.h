// Tiles of bf16 in shared memory and their products on tensor cores, as the attention kernels use
// them. A warp owns one or two tiles of 16 rows of a result: with two, a piece of the right operand
// that it reads from shared memory serves two products. Results stay in registers: d[m][n][e] of a
// lane is row 16 m + lane / 4 + 8 (e / 2) of the warp's and column 8 n + 2 (lane % 4) + e % 2
// (kernels/device/mma.h), which is also how a result becomes the left operand of the next product.
#pragma once

#include "kernels/attention_tile.h"
#include "kernels/device/async_copy.h"
#include "kernels/device/mma.h"

namespace cria::CRIA_GPU::attention {

constexpr int kTileRows = 16;  // of mma

// Hides from nvcc what it knows of a value, so that it computes again what follows from it instead
// of keeping that in registers over a loop that has none to spare.
__device__ inline void forget(int& value) {
#ifdef __CUDACC__
  asm volatile("" : "+r"(value));
#else
  static_cast<void>(value);
#endif
}

// The row and the column of d[m][n][e] of this lane.
__device__ inline int row_of(int m, int element) {
  return kTileRows * m + lane() / 4 + element / 2 * 8;
}
__device__ inline int column_of(int n, int element) { return 8 * n + lane() % 4 * 2 + element % 2; }

// Rows of kColumns bf16 in the block's dynamic shared memory, from element `offset` on, a multiple
// of 64. The 16-byte chunks of a row change places with the row, so that the eight rows of a matrix
// of ldmatrix, at the same chunk each, lie in all 32 banks.
template <int kColumns>
struct SwizzledTile {
  static constexpr int kChunks = kColumns / 8;
  static constexpr int kPlaces = kChunks < 8 ? kChunks : 8;
  static constexpr int kRowsPerLine = 8 / kPlaces;  // that fit into the 128 bytes of all banks

  int offset;

  __device__ SwizzledTile from(int row) const { return {offset + row * kColumns}; }  // row % 8 == 0
  __device__ bf16* chunk(int row, int index) const { return place(row, index).chunk(0, 0); }

  // Where a lane reads: a place from which others are a constant distance away, which is what keeps
  // addresses out of the registers.
  struct Place {
    int element;

    // As many rows, a multiple of 8, and chunks, not the low bits of the place's own, further on.
    __device__ bf16* chunk(int rows, int chunks) const {
      return dynamic_shared<bf16>() + (element ^ chunks % kPlaces * 8) +
             (rows * kColumns + chunks / kPlaces * kPlaces * 8);
    }
  };
  __device__ Place place(int row, int index) const {
    const int swizzled = index % kPlaces ^ row / kRowsPerLine % kPlaces;
    return {offset + row * kColumns + index / kPlaces * kPlaces * 8 + swizzled * 8};
  }
};

// Starts to copy kRows rows into a tile, by a block of kThreads, with zeros around what exists.
// Done after the thread's wait and a barrier of the block.
template <int kThreads, int kRows, int kColumns, typename Source>
__device__ void load_tile(SwizzledTile<kColumns> tile, const Source& source) {
  constexpr int kChunks = kColumns / 8;
  constexpr int kStep = kThreads / kChunks;  // rows that the block copies at once
  static_assert(kStep % 8 == 0 && kRows % kStep == 0, "every eighth row is swizzled alike");
  const int first = static_cast<int>(threadIdx.x / kChunks);
  const int chunk = static_cast<int>(threadIdx.x % kChunks);
  bf16* const target = tile.chunk(first, chunk);
  if (source.vectorized) {
    const bool has_column = chunk * 8 < source.columns;
#pragma unroll
    for (int row = 0; row < kRows; row += kStep) {
      const bool exists = has_column && first + row < source.rows;
      async_copy_16(target + row * kColumns,
                    exists ? source.row(first + row) + chunk * 8 : source.first, exists);
    }
  } else {
#pragma unroll 1
    for (int row = 0; row < kRows; row += kStep) {
      const int columns = first + row < source.rows ? source.columns : 0;
      store(target + row * kColumns,
            from_float<bf16>(load_columns<8>(source.row(first + row), chunk * 8, columns, false)));
    }
  }
}

// Equal tiles that pass through kStages buffers in shared memory one after the other: while the
// block computes with one, the next kStages - 1 are under way. start(buffer) starts the copies of
// the tile after the one that it has started last; buffers are named by their first element, as
// SwizzledTile does.
template <int kStages, int kElements, typename Start>
class TilePipeline {
 public:
  // The group of copies of the first tile takes in what the thread has started before.
  __device__ TilePipeline(int buffers, int count, Start start)
      : start_(start), buffers_(buffers), buffer_(buffers), to_start_(count) {
#pragma unroll
    for (int i = 0; i < kStages - 1; ++i) {
      start_next();
      buffer_ += kElements;
    }
  }

  __device__ bool has_next() const { return to_start_ > 1 - kStages; }

  // The next tile. The block must be done with the one before, whose buffer is filled again.
  __device__ int next() {
    async_wait<kStages - 2>();
    __syncthreads();  // the tile has arrived, and the one before has been read
    start_next();
    buffer_ = buffer_ == buffers_ + (kStages - 1) * kElements ? buffers_ : buffer_ + kElements;
    return buffer_;
  }

 private:
  __device__ void start_next() {
    if (to_start_ > 0) start_(buffer_);
    async_commit();
    --to_start_;
  }

  Start start_;
  int buffers_;
  int buffer_;    // of the tile that the block computes with
  int to_start_;  // how many tiles
};

template <int kStages, int kElements, typename Start>
__device__ auto tile_pipeline(int buffers, int count, Start start) {
  return TilePipeline<kStages, kElements, Start>(buffers, count, start);
}

__device__ inline void multiply_pair(float (&first)[4], float (&second)[4], const uint32_t (&a)[4],
                                     const uint32_t (&b)[4]) {
  mma_m16n8k16(first, a, {b[0], b[1]});
  mma_m16n8k16(second, a, {b[2], b[3]});
}

// d[rows, keys] += left[rows, kColumns] right[keys, kColumns]^T, rows from kLeftRow of a tile on
// and keys from kRightRow. (With these, products of neighbouring tiles share their addresses.)
template <int kLeftRow = 0, int kRightRow = 0, int kRowTiles, int kTiles, int kColumns>
__device__ void multiply_rows(float (&d)[kRowTiles][kTiles][4], SwizzledTile<kColumns> left,
                              SwizzledTile<kColumns> right) {
  const auto of_left = left.place(lane() % 16, lane() / 16);
  const auto of_right = right.place(lane() / 16 * 8 + lane() % 8, lane() / 8 % 2);
#pragma unroll
  for (int step = 0; step < kColumns / 16; ++step) {
    uint32_t a[kRowTiles][4];
#pragma unroll
    for (int m = 0; m < kRowTiles; ++m) {
      ldmatrix_x4(a[m], of_left.chunk(kLeftRow + kTileRows * m, 2 * step));
    }
#pragma unroll
    for (int n = 0; n < kTiles; n += 2) {
      uint32_t b[4];
      ldmatrix_x4(b, of_right.chunk(kRightRow + 8 * n, 2 * step));
#pragma unroll
      for (int m = 0; m < kRowTiles; ++m) multiply_pair(d[m][n], d[m][n + 1], a[m], b);
    }
  }
}

// Two neighbouring tiles of a result rounded to bf16, as the left operand of the next product.
__device__ inline void pack_left(uint32_t (&a)[4], const float (&left)[4],
                                 const float (&right)[4]) {
  a[0] = pack_bf16(left[0], left[1]);
  a[1] = pack_bf16(left[2], left[3]);
  a[2] = pack_bf16(right[0], right[1]);
  a[3] = pack_bf16(right[2], right[3]);
}

// Weights in half the registers: a[m][step] is columns [16 step, 16 step + 16).
template <int kRowTiles, int kTiles>
struct PackedWeights {
  uint32_t a[kRowTiles][kTiles / 2][4];

  __device__ void pack(const float (&w)[kRowTiles][kTiles][4]) {
#pragma unroll
    for (int m = 0; m < kRowTiles; ++m) {
#pragma unroll
      for (int step = 0; step < kTiles / 2; ++step) {
        pack_left(a[m][step], w[m][2 * step], w[m][2 * step + 1]);
      }
    }
  }
};

// d[rows, kColumns] += a[rows, 16] tile[16, kColumns], from a row of the tile's on.
template <int kRowTiles, int kTiles, typename Place>
__device__ void multiply_step(float (&d)[kRowTiles][kTiles][4], const uint32_t (&a)[kRowTiles][4],
                              const Place& of_tile, int row) {
#pragma unroll
  for (int n = 0; n < kTiles; n += 2) {
    uint32_t b[4];
    ldmatrix_x4_transposed(b, of_tile.chunk(row, n));
#pragma unroll
    for (int m = 0; m < kRowTiles; ++m) multiply_pair(d[m][n], d[m][n + 1], a[m], b);
  }
}

// d[rows, kColumns] += w[rows, keys] tile[keys, kColumns], w rounded to bf16, keys from kFirstRow
// of the tile on.
template <int kFirstRow = 0, int kRowTiles, int kTiles, int kWeightTiles, int kColumns>
__device__ void multiply_weights(float (&d)[kRowTiles][kTiles][4],
                                 const float (&w)[kRowTiles][kWeightTiles][4],
                                 SwizzledTile<kColumns> tile) {
  const auto of_tile = tile.place(lane() % 16, lane() / 16);
#pragma unroll
  for (int step = 0; step < kWeightTiles / 2; ++step) {
    uint32_t a[kRowTiles][4];
#pragma unroll
    for (int m = 0; m < kRowTiles; ++m) pack_left(a[m], w[m][2 * step], w[m][2 * step + 1]);
    multiply_step(d, a, of_tile, kFirstRow + 16 * step);
  }
}

// The same of weights that are packed.
template <int kRowTiles, int kTiles, int kWeightTiles, int kColumns>
__device__ void multiply_weights(float (&d)[kRowTiles][kTiles][4],
                                 const PackedWeights<kRowTiles, kWeightTiles>& w,
                                 SwizzledTile<kColumns> tile) {
  const auto of_tile = tile.place(lane() % 16, lane() / 16);
#pragma unroll
  for (int step = 0; step < kWeightTiles / 2; ++step) {
    uint32_t a[kRowTiles][4];
#pragma unroll
    for (int m = 0; m < kRowTiles; ++m) {
#pragma unroll
      for (int i = 0; i < 4; ++i) a[m][i] = w.a[m][step][i];
    }
    multiply_step(d, a, of_tile, 16 * step);
  }
}

// Turns rows of heads that fill their tile back by the angles of their tokens (cria/ops/rope.h), in
// place: a lane holds both elements of each pair. token(row) is the token in the pack of a row of
// the warp's, of which `rows` exist.
template <int kRowTiles, int kTiles, typename Token>
__device__ void turn_back(float (&d)[kRowTiles][kTiles][4], int rows, const int32_t* positions,
                          const float* rope_table, Token token) {
  constexpr int kHeadDim = 8 * kTiles, kHalf = kTiles / 2;
#pragma unroll
  for (int m = 0; m < kRowTiles; ++m) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int row = row_of(m, 2 * half);
      if (row >= rows) continue;
      const float* angles = rope_table + int64_t{positions[token(row)]} * kHeadDim;
#pragma unroll
      for (int n = 0; n < kHalf; ++n) {
        const auto cosine = load<2>(angles + column_of(n, 0));
        const auto sine = load<2>(angles + kHeadDim / 2 + column_of(n, 0));
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          float& first = d[m][n][2 * half + i];
          float& second = d[m][n + kHalf][2 * half + i];
          const float turned = first * cosine[i] + second * sine[i];
          second = second * cosine[i] - first * sine[i];
          first = turned;
        }
      }
    }
  }
}

// Stores factor[m][e / 2] d as rows of heads: `target` starts at the warp's first row. The rows go
// through `staging`, as many rows that nobody but this warp reads any more, to leave in pieces of
// 16 bytes.
template <int kRowTiles, int kTiles, typename Target>
__device__ void store_rows(const Target& target, const float (&d)[kRowTiles][kTiles][4],
                           const float (&factor)[kRowTiles][2], SwizzledTile<8 * kTiles> staging) {
#pragma unroll
  for (int m = 0; m < kRowTiles; ++m) {
#pragma unroll
    for (int n = 0; n < kTiles; ++n) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const Vector<float, 2> pair = {d[m][n][2 * half] * factor[m][half],
                                       d[m][n][2 * half + 1] * factor[m][half]};
        store(staging.chunk(row_of(m, 2 * half), n) + lane() % 4 * 2, from_float<bf16>(pair));
      }
    }
  }
  __syncwarp();
#pragma unroll 4
  for (int index = lane(); index < kRowTiles * kTileRows * kTiles; index += kWarpSize) {
    const int row = index / kTiles, chunk = index % kTiles;
    if (row >= target.rows) continue;
    store_columns(target.row(row), chunk * 8, target.columns, target.vectorized,
                  load(staging.chunk(row, chunk)));
  }
}

}  // namespace cria::CRIA_GPU::attention
