// Matrix products in double precision.
#pragma once

#include <cstdint>
#include <vector>

namespace cria::testing::reference {

using Matrix = std::vector<double>;

// Row-major; element (i, j) of the transposed of a matrix with `columns` columns is [j * columns +
// i].
inline Matrix transposed(const Matrix& x, int64_t rows, int64_t columns) {
  Matrix y(x.size());
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) {
      y[static_cast<size_t>(j * rows + i)] = x[static_cast<size_t>(i * columns + j)];
    }
  }
  return y;
}

// c + a[m, k] * b[k, n]
inline Matrix multiply(const Matrix& a, const Matrix& b, Matrix c, int64_t m, int64_t n,
                       int64_t k) {
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t l = 0; l < k; ++l) {
      const double factor = a[static_cast<size_t>(i * k + l)];
      const double* row = b.data() + l * n;
      double* out = c.data() + i * n;
      for (int64_t j = 0; j < n; ++j) out[j] += factor * row[j];
    }
  }
  return c;
}

inline Matrix multiply(const Matrix& a, const Matrix& b, int64_t m, int64_t n, int64_t k) {
  return multiply(a, b, Matrix(static_cast<size_t>(m * n)), m, n, k);
}

}  // namespace cria::testing::reference
