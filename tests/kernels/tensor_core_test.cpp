// mma and ldmatrix against the tables of the PTX ISA, and a small product made of both.
#include <cmath>

#include "cria/core/random.h"

#include "kernels/device/mma.h"
#include "kernels/emulator_test.h"

namespace cria::emulated {

namespace {

using cria::testing::contains;
using cria::testing::error_of;
using cria::testing::in_every_order;

// The tables of PTX ISA 8.5, section 9.7.14.5.8, "Matrix Fragments for mma.m16n8k16 with floating
// point type": row and column of element i of a lane's fragment.
struct Place {
  int row, column;
};
Place place_in_a(int lane, int i) {
  const int group = lane >> 2, in_group = lane % 4;
  const int row = (0 <= i && i < 2) || (4 <= i && i < 6) ? group : group + 8;
  const int column = i < 4 ? in_group * 2 + (i & 1) : in_group * 2 + (i & 1) + 8;
  return {row, column};
}
Place place_in_b(int lane, int i) {
  const int group = lane >> 2, in_group = lane % 4;
  return {i < 2 ? in_group * 2 + (i & 1) : in_group * 2 + (i & 1) + 8, group};
}
Place place_in_d(int lane, int i) {
  const int group = lane >> 2, in_group = lane % 4;
  return {i < 2 ? group : group + 8, in_group * 2 + (i & 1)};
}

__global__ void multiply_fragments(float* d, const uint32_t* a, const uint32_t* b) {
  const auto lane = threadIdx.x;
  float sums[4];
  uint32_t left[4], right[2];
  for (unsigned i = 0; i < 4; ++i) sums[i] = d[4 * lane + i];
  for (unsigned i = 0; i < 4; ++i) left[i] = a[4 * lane + i];
  for (unsigned i = 0; i < 2; ++i) right[i] = b[2 * lane + i];
  mma_m16n8k16(sums, left, right);
  for (unsigned i = 0; i < 4; ++i) d[4 * lane + i] = sums[i];
}

// All values differ and none has a twin with the other sign: any mix-up of places shows.
TEST(TensorCore, MultipliesTheFragmentsOfThePtxTables) {
  const Random random(3, Purpose::data_synthesis);
  double a[16][16], b[16][8], d[16][8];
  int drawn = 0;
  const auto draw = [&] { return static_cast<double>(bf16(0.1f + random.uniform(drawn++))); };
  for (auto& row : a) std::generate(std::begin(row), std::end(row), draw);
  for (auto& row : b) std::generate(std::begin(row), std::end(row), draw);
  for (auto& row : d) std::generate(std::begin(row), std::end(row), draw);

  const auto word = [](double low, double high) {
    return bf16(static_cast<float>(low)).bits |
           static_cast<uint32_t>(bf16(static_cast<float>(high)).bits) << 16;
  };
  std::vector<uint32_t> a_fragments, b_fragments;
  std::vector<float> d_before, result;
  for (int lane = 0; lane < 32; ++lane) {
    for (int i = 0; i < 8; i += 2) {
      const Place p = place_in_a(lane, i), q = place_in_a(lane, i + 1);
      a_fragments.push_back(word(a[p.row][p.column], a[q.row][q.column]));
    }
    for (int i = 0; i < 4; i += 2) {
      const Place p = place_in_b(lane, i), q = place_in_b(lane, i + 1);
      b_fragments.push_back(word(b[p.row][p.column], b[q.row][q.column]));
    }
    for (int i = 0; i < 4; ++i) {
      const Place p = place_in_d(lane, i);
      d_before.push_back(static_cast<float>(d[p.row][p.column]));
    }
  }
  in_every_order([&] {
    result = d_before;
    launch(multiply_fragments, 1, 32, 0, Stream{}, result.data(), a_fragments.data(),
           b_fragments.data());
    for (int lane = 0; lane < 32; ++lane) {
      for (int i = 0; i < 4; ++i) {
        const Place p = place_in_d(lane, i);
        double expected = d[p.row][p.column];
        for (int k = 0; k < 16; ++k) expected += a[p.row][k] * b[k][p.column];
        // 17 terms below 1.3: each of the 16 additions of fp32 is off by half an ulp of 32 at most.
        EXPECT_NEAR(result[4 * lane + i], expected, 16 * 0x1p-20) << lane << " " << i;
      }
    }
  });
}

template <int kMatrices, bool kTransposed>
__global__ void load_fragments(uint32_t* out, const int* row_of_lane) {
  uint16_t* tile = dynamic_shared<uint16_t>();  // [32, 8]
  const auto lane = static_cast<int>(threadIdx.x);
  for (int i = 0; i < 8; ++i) tile[8 * lane + i] = static_cast<uint16_t>(100 * lane + i);
  __syncwarp();
  uint32_t fragments[kMatrices];
  const uint16_t* row = tile + 8 * row_of_lane[lane];
  if constexpr (kMatrices == 4 && kTransposed) ldmatrix_x4_transposed(fragments, row);
  if constexpr (kMatrices == 4 && !kTransposed) ldmatrix_x4(fragments, row);
  if constexpr (kMatrices == 2 && kTransposed) ldmatrix_x2_transposed(fragments, row);
  if constexpr (kMatrices == 2 && !kTransposed) ldmatrix_x2(fragments, row);
  for (int i = 0; i < kMatrices; ++i) out[kMatrices * lane + i] = fragments[i];
}

// PTX ISA, ldmatrix: thread t holds elements 2 (t % 4) and the next of row t / 4 of each matrix,
// whose rows come from the addresses of eight lanes in turn.
template <int kMatrices, bool kTransposed>
void check_ldmatrix() {
  std::vector<int> rows(32);
  for (int lane = 0; lane < 32; ++lane) rows[lane] = (lane * 11 + 5) % 32;  // any order will do
  std::vector<uint32_t> out(32 * kMatrices);
  launch(load_fragments<kMatrices, kTransposed>, 1, 32, 512, Stream{}, out.data(), rows.data());
  const auto element = [&](int matrix, int row, int column) {
    return static_cast<uint32_t>(100 * rows[8 * matrix + row] + column);
  };
  for (int lane = 0; lane < 32; ++lane) {
    for (int m = 0; m < kMatrices; ++m) {
      const int row = lane / 4, column = 2 * (lane % 4);
      const uint32_t low = kTransposed ? element(m, column, row) : element(m, row, column);
      const uint32_t high = kTransposed ? element(m, column + 1, row) : element(m, row, column + 1);
      ASSERT_EQ(out[kMatrices * lane + m], low | high << 16) << lane << " " << m;
    }
  }
}

TEST(TensorCore, LoadsMatricesAsThePtxTablesSay) {
  in_every_order([] {
    check_ldmatrix<4, false>();
    check_ldmatrix<4, true>();
    check_ldmatrix<2, false>();
    check_ldmatrix<2, true>();
  });
}

__global__ void misaligned_row(int lane_off) {
  uint32_t fragments[2];
  const auto lane = static_cast<int>(threadIdx.x);
  ldmatrix_x2(fragments, dynamic_shared<char>() + 16 * lane + (lane == lane_off ? 8 : 0));
}

TEST(TensorCore, RowsAreAligned) {
  const auto run = [](int lane) {
    return error_of([=] { launch(misaligned_row, 1, 32, 1024, Stream{}, lane); });
  };
  EXPECT_TRUE(contains(run(7), {"thread (7,0,0) moves 16 bytes", "in misaligned_row"}));
  EXPECT_EQ(run(16), "");  // the addresses of lanes 16..31 are not used by x2
}

__global__ void half_a_warp() {
  float d[4] = {};
  const uint32_t a[4] = {}, b[2] = {};
  if (threadIdx.x < 16) mma_m16n8k16(d, a, b);
}

TEST(TensorCore, TheWholeWarpTakesPart) {
  EXPECT_TRUE(contains(error_of([] { launch(half_a_warp, 1, 32, 0, Stream{}); }),
                       {"waits for ever in mma_m16n8k16 in half_a_warp", "lane 16", "returned"}));
}

// C [16, 8] = A [16, 16] B as attention does it: A row by row, B as rows of n (scores, K) or as
// rows of k (values, V).
template <bool kRowsOfK>
__global__ void small_product(float* c, const bf16* a, const bf16* b) {
  bf16* left = dynamic_shared<bf16>();  // [16, 16]
  bf16* right = left + 256;             // [8, 16] or [16, 8]
  const auto lane = static_cast<int>(threadIdx.x);
  for (int i = lane; i < 256; i += 32) left[i] = a[i];
  for (int i = lane; i < 128; i += 32) right[i] = b[i];
  __syncwarp();
  uint32_t a_fragment[4], b_fragment[2];
  ldmatrix_x4(a_fragment, left + lane % 16 * 16 + lane / 16 * 8);
  if constexpr (kRowsOfK) {
    ldmatrix_x2_transposed(b_fragment, right + lane % 16 * 8);
  } else {
    ldmatrix_x2(b_fragment, right + lane % 8 * 16 + lane / 8 % 2 * 8);
  }
  float sums[4] = {};
  mma_m16n8k16(sums, a_fragment, b_fragment);
  for (int i = 0; i < 4; ++i) {
    c[(lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2] = sums[i];
  }
}

template <bool kRowsOfK>
void check_small_product() {
  std::vector<bf16> a(256), b(128);
  for (int i = 0; i < 256; ++i) a[i] = bf16(static_cast<float>(i % 13 - 6));
  for (int i = 0; i < 128; ++i) b[i] = bf16(static_cast<float>(i % 11 - 4));
  std::vector<float> c(128), expected(128);
  for (int row = 0; row < 16; ++row) {
    for (int n = 0; n < 8; ++n) {
      for (int k = 0; k < 16; ++k)
        expected[row * 8 + n] += a[row * 16 + k] * b[kRowsOfK ? k * 8 + n : n * 16 + k];
    }
  }
  launch(small_product<kRowsOfK>, 1, 32, 768, Stream{}, c.data(), a.data(), b.data());
  EXPECT_EQ(c, expected);  // small integers: exact
}

TEST(TensorCore, LdmatrixFeedsMma) {
  in_every_order([] {
    check_small_product<false>();
    check_small_product<true>();
  });
}

}  // namespace

}  // namespace cria::emulated
