// How far an op may be from its double-precision reference, each line with its reason. eps is half
// a unit in the last place: 2^-24 for fp32, 2^-8 for bf16 (7 stored bits of mantissa). Inputs of
// the tests are exact in both dtypes, so only what the op rounds counts. The same numbers stand in
// docs/numerics.md.
#include <map>

#include "ops/op_test.h"

namespace cria::testing {

namespace {

constexpr double kEps32 = 0x1p-24;
constexpr double kEps16 = 0x1p-8;

struct Row {
  Tolerance fp32;
  Tolerance bf16;
};

const std::map<std::string, Row>& table() {
  static const std::map<std::string, Row> rows = {
      // Pure copies.
      {"copy", {{0, 0}, {0, 0}}},
      // One rounding of the result.
      {"cast", {{0, kEps32}, {0, kEps16}}},
      // The header fixes the order of the sums and the roundings, so the reference repeats them.
      {"embedding_backward", {{0, 0}, {0, 0}}},
      // d <= 288: the sum of squares is off by at most d eps, its root by half of that; a handful
      // of roundings more, then the rounding of the result. Also for the inverse root mean square.
      {"rmsnorm_forward", {{0, 160 * kEps32}, {0, kEps16 + 162 * kEps32}}},
      // r <= 1, |g| <= 16, |n| <= 5, mean |g n| <= 1: the mean is off by (d + 8) eps, the
      // difference cancels, so 5 (288 + 8) eps + 4 * 16 eps absolutely, then the rounding.
      {"rmsnorm_backward", {{1550 * kEps32, kEps32}, {1550 * kEps32, kEps16}}},
      // 130 terms of mean magnitude 1 at most, added in any order: 138 * 130 eps. The test of more
      // rows scales the bound with them: their chunks keep the additions in sequence under 150.
      {"rmsnorm_weight_gradient", {{20000 * kEps32, kEps32}, {20000 * kEps32, kEps16}}},
      // Two products of at most 5 and their sum, each rounded: 3 * 10 eps, then the rounding.
      {"rope", {{30 * kEps32, kEps32}, {30 * kEps32, kEps16}}},
      // Forward, rounded where it may be 5 sqrt 2 large in either component, then back: the turn
      // spreads both errors, cos^2 + sin^2 of the rounded table is off by 4 eps.
      {"rope_round_trip", {{90 * kEps32, kEps32}, {10 * kEps16, kEps16}}},
      // e^x within 4 eps, the sigmoid two more, two products; sigmoids below 1e-38 come out as 0.
      {"swiglu_forward", {{1e-37, 10 * kEps32}, {1e-37, kEps16 + 10 * kEps32}}},
      // As forward; 1 + x (1 - s) cancels where it is off by (7 |x| + 4) eps: |x|, |up|, |dy| <=
      // 4.5 give 36 eps times 20.
      {"swiglu_backward", {{750 * kEps32, 10 * kEps32}, {750 * kEps32, kEps16 + 10 * kEps32}}},
  };
  return rows;
}

}  // namespace

Tolerance tolerance(const std::string& op, DType dtype) {
  const auto row = table().find(op);
  if (row == table().end()) {
    ADD_FAILURE() << "no tolerance for '" << op << "': add a line with its reason";
    return {0, 0};
  }
  return dtype == DType::f32 ? row->second.fp32 : row->second.bf16;
}

}  // namespace cria::testing
