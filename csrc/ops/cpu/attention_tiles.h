// What the forward and the backward pass of attention on the CPU share: the products of small fp32
// tiles, their transposition, and the walk over the blocks of packed sequences.
//
// A sequence is cut into blocks of kBlock rows from its own first row, so the arithmetic of a row
// does not depend on where its sequence stands in the pack. Tiles are copied to fp32 scratch, with
// zeros up to the next multiple of the vector width: no product has ragged columns. Columns that
// stand for no query hold whatever comes out; they never mix with others and are never stored.
//
// Scores are kept transposed, [keys, queries]: the softmax of a query then runs down a column, many
// queries side by side in a vector, and the keys and values are used in the layout they come in.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

#include "cria/core/tensor.h"

#include "vector_math.h"

namespace cria::cpu::attention {

inline constexpr int kBlock = 64;  // rows of a query block and of a key block

// A product keeps kTileRows x kPanelVectors vectors of sums in registers: 16 of AVX-512's 32 and 12
// of AVX2's 16, enough sums in flight to hide the latency of a multiply-add.
#ifdef __AVX512F__
inline constexpr int kLanes = 16;
inline constexpr int kPanelVectors = 4;
#else
inline constexpr int kLanes = 8;
inline constexpr int kPanelVectors = 3;
#endif
inline constexpr int kTileRows = 4;

using Vector [[gnu::vector_size(kLanes * sizeof(float)), gnu::may_alias]] = float;

constexpr int64_t round_up(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}
constexpr int64_t padded(int64_t columns) { return round_up(columns, 16); }

// A row-major matrix in scratch space: rows start on a vector boundary.
struct Tile {
  float* data;
  int64_t stride;

  float* row(int64_t index) const { return data + index * stride; }
  Tile from_row(int64_t index) const { return {row(index), stride}; }
  void scale_row(int64_t index, float factor) const {
    float* values = row(index);
    for (int64_t c = 0; c < stride; ++c) values[c] *= factor;
  }
};

// Rows of bf16 where they lie, widened as they are read. As for tiles, a row starts on a boundary
// of kLanes elements.
struct NarrowTile {
  const bf16* data;
  int64_t stride;

  const bf16* row(int64_t index) const { return data + index * stride; }
};

// The index-th vector of a row.
inline Vector vector_of(const float* row, int64_t index) {
  return reinterpret_cast<const Vector*>(row)[index];
}
inline Vector vector_of(const bf16* row, int64_t index) {
  using Half [[gnu::vector_size(kLanes * sizeof(uint16_t)), gnu::may_alias]] = uint16_t;
  using Words [[gnu::vector_size(kLanes * sizeof(uint32_t))]] = uint32_t;
  const Half bits = reinterpret_cast<const Half*>(row)[index];
  return reinterpret_cast<Vector>(__builtin_convertvector(bits, Words) << 16);
}

// Hands out pieces of a workspace. Without memory behind it, it only counts.
class Scratch {
 public:
  explicit Scratch(void* begin = nullptr) : begin_(static_cast<uint8_t*>(begin)) {}

  template <typename T>
  T* take(int64_t count) {
    const size_t offset = bytes_;
    bytes_ += static_cast<size_t>(round_up(count * static_cast<int64_t>(sizeof(T)), 64));
    return begin_ ? reinterpret_cast<T*>(begin_ + offset) : nullptr;
  }
  Tile tile(int64_t rows, int64_t columns) {
    return {take<float>(rows * padded(columns)), padded(columns)};
  }
  size_t bytes() const { return bytes_; }

 private:
  uint8_t* begin_;
  size_t bytes_ = 0;
};

// Which part of a product is not zero on the diagonal, where key k and query q meet only if k <= q.
enum class Part {
  all,
  columns_from_row,  // result [keys, queries]: columns before the row are not wanted
  depth_from_row,    // result [keys, ...], summed over queries: those before the key count nothing
  depth_to_row,      // result [queries, ...], summed over keys: those after the query count nothing
};

// c[kRows, kVectors * kLanes] (+)= a b over the depth [begin, end). With kTransposed, a is read as
// a[depth, row]. An element is summed in the order of the depth, whatever the tile around it.
template <bool kTransposed, int kRows, int kVectors, typename Right>
inline void multiply_tile(Tile c, Tile a, Right b, int64_t begin, int64_t end, bool accumulate) {
  Vector sums[kRows][kVectors];
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v) {
      sums[r][v] = accumulate ? reinterpret_cast<const Vector*>(c.row(r))[v] : Vector{};
    }
  }
  for (int64_t k = begin; k < end; ++k) {
    Vector b_row[kVectors];
    for (int v = 0; v < kVectors; ++v) b_row[v] = vector_of(b.row(k), v);
    for (int r = 0; r < kRows; ++r) {
      const float factor = kTransposed ? a.row(k)[r] : a.row(r)[k];
      for (int v = 0; v < kVectors; ++v) sums[r][v] += factor * b_row[v];
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v) reinterpret_cast<Vector*>(c.row(r))[v] = sums[r][v];
  }
}

template <bool kTransposed, int kRows, typename Right>
inline void multiply_rows(Tile c, Tile a, Right b, int64_t columns, int64_t begin, int64_t end,
                          bool accumulate) {
  static_assert(kPanelVectors <= 4);
  switch (columns / kLanes) {
    case 1:
      return multiply_tile<kTransposed, kRows, 1>(c, a, b, begin, end, accumulate);
    case 2:
      return multiply_tile<kTransposed, kRows, 2>(c, a, b, begin, end, accumulate);
    case 3:
      return multiply_tile<kTransposed, kRows, 3>(c, a, b, begin, end, accumulate);
    case 4:
      return multiply_tile<kTransposed, kRows, kPanelVectors>(c, a, b, begin, end, accumulate);
    default:  // the whole panel lies before the diagonal
      return;
  }
}

// c[rows, columns] (+)= a[rows, depth] b[depth, columns], or a[depth, rows]^T b. Columns are
// rounded up to kLanes: the tiles have the room.
template <bool kTransposed, typename Right>
inline void multiply(Tile c, Tile a, Right b, int64_t rows, int64_t columns, int64_t depth,
                     bool accumulate, Part part) {
  constexpr int64_t kPanel = kPanelVectors * kLanes;
  columns = round_up(columns, kLanes);
  for (int64_t panel = 0; panel < columns; panel += kPanel) {
    const int64_t panel_end = std::min(panel + kPanel, columns);
    for (int64_t row = 0; row < rows;) {
      const int64_t tile_rows = rows - row >= kTileRows ? kTileRows : 1;
      const int64_t column =
          part == Part::columns_from_row ? std::max(panel, row / kLanes * kLanes) : panel;
      const int64_t begin = part == Part::depth_from_row ? row : 0;
      const int64_t end = part == Part::depth_to_row ? row + tile_rows : depth;
      const Tile c_tile = {c.row(row) + column, c.stride};
      const Tile a_tile = {kTransposed ? a.data + row : a.row(row), a.stride};
      const Right b_tile = {b.data + column, b.stride};
      if (tile_rows == kTileRows) {
        multiply_rows<kTransposed, kTileRows>(c_tile, a_tile, b_tile, panel_end - column, begin,
                                              end, accumulate);
      } else {
        multiply_rows<kTransposed, 1>(c_tile, a_tile, b_tile, panel_end - column, begin, end,
                                      accumulate);
      }
      row += tile_rows;
    }
  }
}

// One step of transposing a square of vectors: in every 2 kWidth square, the upper right and the
// lower left kWidth squares change places.
template <int kWidth, int... kLane>
inline void swap_corners(Vector (&rows)[kLanes], std::integer_sequence<int, kLane...>) {
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) {
    if (i & kWidth) continue;
    const Vector upper = rows[i];
    const Vector lower = rows[i + kWidth];
    rows[i] = __builtin_shufflevector(upper, lower,
                                      (kLane & kWidth ? kLanes + kLane - kWidth : kLane)...);
    rows[i + kWidth] = __builtin_shufflevector(
        upper, lower, (kLane & kWidth ? kLanes + kLane : kLane + kWidth)...);
  }
}

// output[columns, rows] = input[rows, columns]^T, both rounded up to kLanes.
template <typename Input>
inline void transpose(Tile output, Input input, int64_t rows, int64_t columns) {
  constexpr std::make_integer_sequence<int, kLanes> lanes;
  for (int64_t row = 0; row < rows; row += kLanes) {
    for (int64_t column = 0; column < columns; column += kLanes) {
      Vector square[kLanes];
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) {
        square[i] = vector_of(input.row(row + i) + column, 0);
      }
      swap_corners<1>(square, lanes);
      swap_corners<2>(square, lanes);
      swap_corners<4>(square, lanes);
      if constexpr (kLanes == 16) swap_corners<8>(square, lanes);
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) {
        *reinterpret_cast<Vector*>(output.row(column + i) + row) = square[i];
      }
    }
  }
}

// Copies rows of one head into a tile, with zeros in the rest of each last vector.
template <typename T>
inline void load_tile(Tile tile, const T* source, int64_t source_stride, int64_t rows,
                      int64_t columns) {
  for (int64_t row = 0; row < rows; ++row) {
    load_row(tile.row(row), source + row * source_stride, columns);
    std::fill(tile.row(row) + columns, tile.row(row) + padded(columns), 0.0f);
  }
}

template <typename T>
inline void store_tile(T* destination, int64_t destination_stride, Tile tile, int64_t rows,
                       int64_t columns) {
  for (int64_t row = 0; row < rows; ++row) {
    store_row(destination + row * destination_stride, tile.row(row), columns);
  }
}

// A stretch of a sequence: rows [begin, end) of the pack, the index-th of `count` stretches.
struct Stretch {
  int64_t sequence_begin;
  int64_t sequence_end;
  int32_t index;
  int32_t count;
};

// No pack of T tokens has more stretches than this.
inline int64_t max_stretches(int64_t tokens) { return tokens; }

// Cuts every sequence into stretches of `length` rows, the last ones first: under a causal mask
// they have the most work. Returns how many there are.
inline int64_t cut_into_stretches(Stretch* stretches, const Tensor& sequence_offsets,
                                  int64_t length) {
  const int32_t* offsets = sequence_offsets.as<int32_t>();
  int64_t total = 0;
  for (int64_t s = 0; s + 1 < sequence_offsets.shape[0]; ++s) {
    const int64_t rows = offsets[s + 1] - offsets[s];
    const int32_t count = static_cast<int32_t>((rows + length - 1) / length);
    for (int32_t index = count - 1; index >= 0; --index) {
      stretches[total++] = {offsets[s], offsets[s + 1], index, count};
    }
  }
  return total;
}

}  // namespace cria::cpu::attention
