// Tensor cores: D += A B on tiles of 16 x 16 times 16 x 8, bf16 in, fp32 out, and ldmatrix, which
// brings 8 x 8 tiles of 16-bit values from shared memory into the registers that mma wants.
//
// Who holds what (PTX ISA, "Matrix Fragments for mma.m16n8k16 with floating point type" and
// "ldmatrix"); lane = 4 group + t with group 0..7 and t 0..3, elements in pairs of neighbours, the
// first in the lower half of its word:
//   a[0] A[group][2t]      a[1] A[group + 8][2t]    a[2] A[group][2t + 8]   a[3] A[group + 8][2t+8]
//   b[0] B[2t][group]      b[1] B[2t + 8][group]    pairs run down the rows of B
//   d[0..1] D[group][2t], D[group][2t + 1]          d[2..3] the same of row group + 8
// ldmatrix: lanes 8m..8m+7 give the addresses of the rows of matrix m (16 bytes each, aligned);
// f[m] is elements [group][2t..2t+1] of matrix m, or [2t..2t+1][group] where transposed.
// So A row-major in shared memory loads by ldmatrix_x4 over its four quadrants (upper left, lower
// left, upper right, lower right), B stored as rows of n (k runs along the row) by ldmatrix_x2, and
// B stored as rows of k by ldmatrix_x2_transposed.
//
// All 32 lanes of the warp take part in each.
#pragma once

#include "kernels/device/device.h"
#include "kernels/device/vector.h"

namespace cria::CRIA_GPU {

#ifdef __CUDACC__

__device__ inline void mma_m16n8k16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

__device__ inline uint32_t shared_address(const void* pointer) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}

__device__ inline void ldmatrix_x4(uint32_t (&f)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(f[0]), "=r"(f[1]), "=r"(f[2]), "=r"(f[3])
               : "r"(shared_address(row))
               : "memory");
}

__device__ inline void ldmatrix_x4_transposed(uint32_t (&f)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(f[0]), "=r"(f[1]), "=r"(f[2]), "=r"(f[3])
               : "r"(shared_address(row))
               : "memory");
}

__device__ inline void ldmatrix_x2(uint32_t (&f)[2], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
               : "=r"(f[0]), "=r"(f[1])
               : "r"(shared_address(row))
               : "memory");
}

__device__ inline void ldmatrix_x2_transposed(uint32_t (&f)[2], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
               : "=r"(f[0]), "=r"(f[1])
               : "r"(shared_address(row))
               : "memory");
}

#else

// kernels/emulator/tensor_core.cpp
void mma_m16n8k16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                  CallSite where = CallSite::current());
void ldmatrix_x4(uint32_t (&f)[4], const void* row, CallSite where = CallSite::current());
void ldmatrix_x4_transposed(uint32_t (&f)[4], const void* row,
                            CallSite where = CallSite::current());
void ldmatrix_x2(uint32_t (&f)[2], const void* row, CallSite where = CallSite::current());
void ldmatrix_x2_transposed(uint32_t (&f)[2], const void* row,
                            CallSite where = CallSite::current());

#endif

}  // namespace cria::CRIA_GPU
