// How the attention kernels lay out their tiles, and how blocks find theirs.
#include <set>
#include <vector>

#include "kernels/attention_tensor_cores.h"
#include "kernels/emulator_test.h"

namespace cria::emulated {

namespace {

using namespace attention;

// Shared memory has 32 banks of 4 bytes: the eight rows of 16 bytes that ldmatrix reads at a time
// come from all of them.
template <int kColumns>
void expect_no_bank_conflicts() {
  constexpr int kRows = 64, kChunks = kColumns / 8;
  std::vector<bf16> memory(kRows * kColumns);
  const SwizzledTile<kColumns> tile{memory.data()};
  std::set<const bf16*> places;
  for (int chunk = 0; chunk < kChunks; ++chunk) {
    for (int first = 0; first < kRows; first += 8) {
      std::set<int64_t> banks;
      for (int row = first; row < first + 8; ++row) {
        const bf16* place = tile.chunk(row, chunk);
        places.insert(place);
        banks.insert((place - memory.data()) / 8 % 8);
        EXPECT_EQ((place - memory.data()) / kColumns, row) << "a row stays where it is";
      }
      EXPECT_EQ(banks.size(), 8u) << "rows from " << first << ", chunk " << chunk;
    }
  }
  EXPECT_EQ(places.size(), size_t{kRows} * kChunks);
}

TEST(AttentionTile, RowsOfAMatrixLieInAllBanks) {
  expect_no_bank_conflicts<32>();
  expect_no_bank_conflicts<64>();
  expect_no_bank_conflicts<128>();
  expect_no_bank_conflicts<256>();
}

// Every row belongs to one tile, whatever the lengths; and the numbers are enough.
TEST(AttentionTile, TilesCoverThePack) {
  const std::vector<std::vector<int>> packs = {{1},
                                               {64},
                                               {65},
                                               {0, 63, 1, 0, 0, 64, 128, 129, 0},
                                               {1, 1, 1, 1},
                                               {200, 0, 31},
                                               {63, 65, 1, 63},
                                               {0, 0, 1}};
  for (const auto& lengths : packs) {
    std::vector<int32_t> offsets = {0};
    for (const int length : lengths) offsets.push_back(offsets.back() + length);
    const int sequences = static_cast<int>(lengths.size());
    for (const bool last_first : {false, true}) {
      std::vector<int> covered(static_cast<size_t>(offsets.back()));
      for (int number = 0; number < tile_numbers<64>(offsets.back(), sequences); ++number) {
        const RowTile tile = find_tile<64>(offsets.data(), sequences, number, last_first);
        EXPECT_EQ(tile.first % 64, 0);
        EXPECT_LE(tile.first + tile.rows, tile.sequence_length);
        for (int64_t row = 0; row < tile.rows; ++row) {
          ++covered[static_cast<size_t>(tile.sequence_begin + tile.first + row)];
        }
      }
      for (const int count : covered) EXPECT_EQ(count, 1);
    }
  }
}

}  // namespace

}  // namespace cria::emulated
