// Matrix products by oneDNN:  output[M, N] = left[M, K] * right[K, N] (+ output).
// A plan (the compiled product of one shape) is made at first use and kept.
//
// With AVX-512 a row's bits depend on that row and the shape alone. On older CPUs oneDNN (2.6) sums
// the last rows of a block in another order, so there a row's place counts, in the last bit.
#pragma once

#include <compare>

#include "cria/core/dtype.h"

namespace cria::cpu {

enum class Layout {
  row_major,
  transposed,  // the rows of the transposed matrix one after the other
  packed,      // the right matrix as pack_right() left it
};

struct MatrixProduct {
  int64_t m = 0;
  int64_t n = 0;
  int64_t k = 0;
  DType input = DType::f32;   // fp32 or bf16; sums are fp32
  DType output = DType::f32;  // fp32, or that of the input
  Layout left = Layout::row_major;
  Layout right = Layout::row_major;
  bool accumulate = false;

  auto operator<=>(const MatrixProduct&) const = default;
};

// Where oneDNN has no bf16 product for this machine, the operands are widened and the product is
// taken in fp32: slow, but the same result up to the order of summation.
void multiply(const MatrixProduct& product, const void* left, const void* right, void* output);

// Whether this CPU multiplies bf16 in tiles (AMX).
bool has_tile_products();

// The right matrix in the blocked layout that oneDNN is fastest with. 0 bytes: it prefers a plain
// one. The layout depends on k, n and the dtype alone, so that all row counts share a packed copy.
size_t packed_right_bytes(int64_t k, int64_t n, DType dtype);
void pack_right(void* packed, const void* right, Layout layout, int64_t k, int64_t n, DType dtype);

// Whether oneDNN has a fast product for a right matrix packed so, at this row count.
bool can_multiply_packed(const MatrixProduct& product);

}  // namespace cria::cpu
