// ldmatrix and mma on the host: the last lane of the warp to come does the work of all. Layouts as
// kernels/device/mma.h says.
#include <cstring>

#include "kernels/device/mma.h"
#include "kernels/emulator/block.h"

namespace cria::emulated {

namespace {

constexpr unsigned kAllLanes = 0xffffffffu;

struct Product {
  float* d;
  const uint32_t* a;
  const uint32_t* b;
};

float low(uint32_t pair) { return std::bit_cast<float>(pair << 16); }
float high(uint32_t pair) { return std::bit_cast<float>(pair & 0xffff0000u); }

void multiply(const Block::Requests& requests, unsigned) {
  constexpr int kM = 16, kN = 8, kK = 16;
  float a[kM][kK], b[kK][kN], d[kM][kN];
  for (int lane = 0; lane < 32; ++lane) {
    const Product& p = *static_cast<const Product*>(requests[lane]);
    const int group = lane / 4, t = lane % 4 * 2;
    for (int i = 0; i < 4; ++i) {
      const int row = group + i % 2 * 8, k = t + i / 2 * 8;
      a[row][k] = low(p.a[i]);
      a[row][k + 1] = high(p.a[i]);
    }
    for (int i = 0; i < 2; ++i) {
      b[t + 8 * i][group] = low(p.b[i]);
      b[t + 8 * i + 1][group] = high(p.b[i]);
      d[group + 8 * i][t] = p.d[2 * i];
      d[group + 8 * i][t + 1] = p.d[2 * i + 1];
    }
  }
  for (int row = 0; row < kM; ++row) {
    for (int k = 0; k < kK; ++k) {
      for (int n = 0; n < kN; ++n) d[row][n] += a[row][k] * b[k][n];
    }
  }
  for (int lane = 0; lane < 32; ++lane) {
    const Product& p = *static_cast<const Product*>(requests[lane]);
    const int group = lane / 4, t = lane % 4 * 2;
    for (int i = 0; i < 4; ++i) p.d[i] = d[group + i / 2 * 8][t + i % 2];
  }
}

struct Rows {
  const void* row;
  uint32_t* fragments;
};

template <int kMatrices, bool kTransposed>
void load_matrices(const Block::Requests& requests, unsigned) {
  for (int m = 0; m < kMatrices; ++m) {
    uint16_t matrix[8][8];
    for (int row = 0; row < 8; ++row) {
      std::memcpy(matrix[row], static_cast<const Rows*>(requests[8 * m + row])->row,
                  sizeof matrix[row]);
    }
    for (int lane = 0; lane < 32; ++lane) {
      const int group = lane / 4, t = lane % 4 * 2;
      const uint32_t first = kTransposed ? matrix[t][group] : matrix[group][t];
      const uint32_t second = kTransposed ? matrix[t + 1][group] : matrix[group][t + 1];
      static_cast<const Rows*>(requests[lane])->fragments[m] = first | second << 16;
    }
  }
}

template <int kMatrices, bool kTransposed>
void ldmatrix(uint32_t (&fragments)[kMatrices], const void* row, CallSite where,
              const void* instruction) {
  Block& block = Block::running();
  if (block.lane() < 8 * kMatrices) {  // the others' are not used
    check_alignment(row, 16, where);
    observe(Access::load, row, 16, instruction);
  }
  Rows request{row, fragments};
  block.warp_operation("ldmatrix", kAllLanes, &request, load_matrices<kMatrices, kTransposed>,
                       where);
}

}  // namespace

void mma_m16n8k16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], CallSite where) {
  Product request{d, a, b};
  Block::running().warp_operation("mma_m16n8k16", kAllLanes, &request, multiply, where);
}

void ldmatrix_x4(uint32_t (&f)[4], const void* row, CallSite where) {
  ldmatrix<4, false>(f, row, where, __builtin_return_address(0));
}
void ldmatrix_x4_transposed(uint32_t (&f)[4], const void* row, CallSite where) {
  ldmatrix<4, true>(f, row, where, __builtin_return_address(0));
}
void ldmatrix_x2(uint32_t (&f)[2], const void* row, CallSite where) {
  ldmatrix<2, false>(f, row, where, __builtin_return_address(0));
}
void ldmatrix_x2_transposed(uint32_t (&f)[2], const void* row, CallSite where) {
  ldmatrix<2, true>(f, row, where, __builtin_return_address(0));
}

}  // namespace cria::emulated
