// How the attention kernels lay out their tiles, and how blocks find theirs.
#include <set>
#include <vector>

#include "kernels/attention_tensor_cores.h"
#include "kernels/emulator_test.h"

namespace cria::emulated {

namespace {

using namespace attention;

constexpr int kTileRows = 64;

// Where each chunk lies, in elements; and the same by way of a place of the first eight rows.
template <int kColumns>
__global__ void locate_chunks(int64_t* chunks, int64_t* from_places) {
  constexpr int kChunks = kColumns / 8;
  const SwizzledTile<kColumns> tile{kColumns * kTileRows};
  for (int row = 0; row < kTileRows; ++row) {
    for (int chunk = 0; chunk < kChunks; ++chunk) {
      const auto place = tile.place(row % 8, chunk % 2);
      const int index = row * kChunks + chunk;
      chunks[index] = tile.chunk(row, chunk) - dynamic_shared<bf16>();
      from_places[index] = place.chunk(row / 8 * 8, chunk / 2 * 2) - dynamic_shared<bf16>();
    }
  }
}

// Shared memory has 32 banks of 4 bytes: the eight rows of 16 bytes that ldmatrix reads at a time
// come from all of them.
template <int kColumns>
void expect_no_bank_conflicts() {
  constexpr int kChunks = kColumns / 8, kElements = kColumns * kTileRows;
  std::vector<int64_t> chunks(kTileRows * kChunks), from_places(chunks.size());
  launch(locate_chunks<kColumns>, 1, 1, 2 * kElements * sizeof(bf16), Stream{}, chunks.data(),
         from_places.data());
  EXPECT_EQ(chunks, from_places);
  for (int chunk = 0; chunk < kChunks; ++chunk) {
    for (int first = 0; first < kTileRows; first += 8) {
      std::set<int64_t> banks;
      for (int row = first; row < first + 8; ++row) {
        const int64_t place = chunks[static_cast<size_t>(row * kChunks + chunk)] - kElements;
        banks.insert(place / 8 % 8);
        EXPECT_EQ(place / kColumns, row) << "a row stays where it is";
      }
      EXPECT_EQ(banks.size(), 8u) << "rows from " << first << ", chunk " << chunk;
    }
  }
  EXPECT_EQ(std::set(chunks.begin(), chunks.end()).size(), chunks.size());
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
    for (const int group : {1, 3, 8}) {
      for (const bool last_first : {false, true}) {
        std::vector<int> covered(static_cast<size_t>(offsets.back() * group));
        const int64_t numbers = tile_numbers<64>(offsets.back(), sequences, group);
        for (int number = 0; number < numbers; ++number) {
          const RowTile tile = find_tile<64>(offsets.data(), sequences, number, last_first, group);
          EXPECT_EQ(tile.first % 64, 0);
          EXPECT_LE(tile.first + tile.rows, tile.sequence_length * group);
          for (int row = 0; row < tile.rows; ++row) {
            // Its place in a matrix of one group of heads.
            ++covered[static_cast<size_t>(tile.index(row, 0, offsets.back()))];
          }
        }
        for (const int count : covered) EXPECT_EQ(count, 1);
      }
    }
  }
}

}  // namespace

}  // namespace cria::emulated
