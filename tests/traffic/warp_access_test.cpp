// The model of one access of a warp, by its rules.
#include "kernels/traffic/warp_access.h"

#include <functional>

#include <gtest/gtest.h>

namespace cria::emulated::traffic {

namespace {

WarpAccess access_of(size_t bytes, const std::function<uintptr_t(int)>& address,
                     uint32_t lanes = ~0u) {
  WarpAccess access{.lanes = lanes, .bytes = bytes, .addresses = {}};
  for (int lane = 0; lane < kLanes; ++lane) access.addresses[lane] = 4096 + address(lane);
  return access;
}

size_t sectors(const WarpAccess& access) {
  std::vector<uintptr_t> found;
  find_sectors(access, found);
  EXPECT_TRUE(std::is_sorted(found.begin(), found.end()));
  return found.size();
}

std::pair<int, int> wavefronts(const WarpAccess& access) {
  const Wavefronts result = count_wavefronts(access);
  return {result.total, result.phases};
}

TEST(WarpAccess, SectorsAreThoseThatLanesTouchTogether) {
  EXPECT_EQ(sectors(access_of(4, [](int lane) { return 4 * lane; })), 4);
  EXPECT_EQ(sectors(access_of(16, [](int lane) { return 16 * lane; })), 16);
  EXPECT_EQ(sectors(access_of(16, [](int lane) { return 16 * (31 - lane); })), 16);
  EXPECT_EQ(sectors(access_of(4, [](int) { return 0; })), 1);
  EXPECT_EQ(sectors(access_of(4, [](int lane) { return 32 * lane; })), 32);
  EXPECT_EQ(sectors(access_of(16, [](int lane) { return 32 * lane; })), 32);   // half of each
  EXPECT_EQ(sectors(access_of(4, [](int lane) { return 4 * lane + 4; })), 5);  // not aligned
  EXPECT_EQ(sectors(access_of(8, [](int lane) { return lane == 0 ? 28 : 64; })), 3);
  EXPECT_EQ(sectors(access_of(
                4, [](int lane) { return 32 * lane; }, 0x80000001u)),
            2);
  EXPECT_EQ(sectors(access_of(4, [](int lane) { return lane % 2 * 64; })), 2);  // met in turns
}

TEST(WarpAccess, WavefrontsOfFourBytesArePerBank) {
  const auto stride = [](int words) {
    return wavefronts(access_of(4, [=](int lane) { return 4 * words * lane; }));
  };
  EXPECT_EQ(stride(1), std::pair(1, 1));
  EXPECT_EQ(stride(2), std::pair(2, 1));
  EXPECT_EQ(stride(32), std::pair(32, 1));
  EXPECT_EQ(stride(33), std::pair(1, 1));
  EXPECT_EQ(stride(0), std::pair(1, 1));  // a broadcast
  EXPECT_EQ(wavefronts(access_of(2, [](int lane) { return 2 * lane; })), std::pair(1, 1));
  EXPECT_EQ(wavefronts(access_of(
                4, [](int lane) { return 128 * lane; }, 0xffu)),
            std::pair(8, 1));
  EXPECT_EQ(wavefronts(access_of(4, [](int lane) { return lane % 2 * 128; })), std::pair(2, 1));
}

TEST(WarpAccess, WiderOnesAreServedInPhases) {
  EXPECT_EQ(wavefronts(access_of(8, [](int lane) { return 8 * lane; })), std::pair(2, 2));
  EXPECT_EQ(wavefronts(access_of(8, [](int lane) { return 16 * lane; })), std::pair(4, 2));
  EXPECT_EQ(wavefronts(access_of(16, [](int lane) { return 16 * lane; })), std::pair(4, 4));
  EXPECT_EQ(wavefronts(access_of(16, [](int lane) { return 32 * lane; })), std::pair(8, 4));
  EXPECT_EQ(wavefronts(access_of(16, [](int lane) { return 128 * lane; })), std::pair(32, 4));
  EXPECT_EQ(wavefronts(access_of(16, [](int lane) { return 144 * lane; })), std::pair(4, 4));
  EXPECT_EQ(wavefronts(access_of(
                16, [](int lane) { return 128 * lane; }, 0xffffu)),
            std::pair(16, 2));
}

}  // namespace

}  // namespace cria::emulated::traffic
