// Rotary angles against transformers: the frequencies bit by bit, cosines and sines within the
// last bit (libraries differ in how they round them).
#include <cmath>

#include <gtest/gtest.h>

#include "cria/model/rope_table.h"

#include "model/golden_model.h"

namespace cria::testing {

namespace {

// A cosine of magnitude at most 1, rounded once on either side: half a unit in the last place for
// cria, one for PyTorch.
constexpr float kAngleBound = 0x1.8p-24f;

void compare(int head_dim, int theta) {
  const SafetensorsFile fixture(golden_path("rope.safetensors"));
  const std::string shape = std::to_string(head_dim) + "." + std::to_string(theta);
  SCOPED_TRACE(shape);

  EXPECT_EQ(rope_inverse_frequencies(head_dim, theta),
            golden_values(fixture, "inverse_frequencies." + shape));

  const std::vector<float> positions = golden_values(fixture, "positions");
  const std::vector<float> cosines = golden_values(fixture, "cos." + shape);
  const std::vector<float> sines = golden_values(fixture, "sin." + shape);
  const auto half = static_cast<size_t>(head_dim / 2);
  constexpr int64_t kPositions = 4096;
  std::vector<float> table(kPositions * 2 * half);
  fill_rope_table(table.data(), kPositions, head_dim, theta);
  ASSERT_EQ(cosines.size(), positions.size() * half);
  for (size_t p = 0; p < positions.size(); ++p) {
    const float* row = table.data() + static_cast<size_t>(positions[p]) * 2 * half;
    for (size_t i = 0; i < half; ++i) {
      EXPECT_NEAR(row[i], cosines[p * half + i], kAngleBound) << positions[p] << ", " << i;
      EXPECT_NEAR(row[half + i], sines[p * half + i], kAngleBound) << positions[p] << ", " << i;
    }
  }
}

}  // namespace

TEST(GoldenRope, AgreesWithTransformers) {
  for (const int head_dim : {2, 8, 16, 48, 64, 100, 128}) compare(head_dim, 10000);
  compare(64, 500000);
  compare(128, 1000000);
}

}  // namespace cria::testing
