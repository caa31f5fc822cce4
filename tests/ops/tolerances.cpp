// How far an op may be from its double-precision reference, each line with its reason. eps is half
// a unit in the last place: 2^-24 for fp32, 2^-9 for bf16. Inputs of the tests are exact in both
// dtypes, so only what the op rounds counts. The same numbers stand in docs/numerics.md.
#include <map>

#include "ops/op_test.h"

namespace cria::testing {

namespace {

constexpr double kEps32 = 0x1p-24;
constexpr double kEps16 = 0x1p-9;

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
