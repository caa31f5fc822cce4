#include "trainers/micro_batches.h"

#include <gtest/gtest.h>

#include "cria/core/error.h"

namespace cria {

namespace {

Example example(int32_t first, size_t length) {
  Example e;
  for (size_t i = 0; i < length; ++i) e.ids.push_back(first + static_cast<int32_t>(i));
  e.labels = e.ids;
  return e;
}

std::vector<Group> single_groups(const std::vector<size_t>& lengths) {
  std::vector<Group> groups;
  for (const size_t length : lengths) {
    groups.push_back({example(static_cast<int32_t>(100 * groups.size()), length)});
  }
  return groups;
}

TEST(MicroBatches, EveryGroupOnceInOrderForAnyRankCount) {
  const std::vector<Group> groups = single_groups({5, 90, 3, 40, 41, 1, 60, 60, 7, 2, 2, 88});
  for (const int ranks : {1, 2, 3, 4, 20}) {
    for (const int64_t max_tokens : {90, 128, 1000}) {
      std::vector<const Group*> seen;
      for (int rank = 0; rank < ranks; ++rank) {
        for (const MicroBatch& micro : split(groups, max_tokens, rank, ranks)) {
          EXPECT_FALSE(micro.groups.empty());
          EXPECT_LE(micro.packed.real_tokens, max_tokens);
          seen.insert(seen.end(), micro.groups.begin(), micro.groups.end());
        }
      }
      ASSERT_EQ(seen.size(), groups.size()) << ranks << " ranks, " << max_tokens << " tokens";
      for (size_t i = 0; i < seen.size(); ++i) EXPECT_EQ(seen[i], &groups[i]);
    }
  }
}

TEST(MicroBatches, RanksGetAboutTheSameTokens) {
  const std::vector<Group> groups = single_groups(std::vector<size_t>(64, 30));
  for (int rank = 0; rank < 4; ++rank) {
    int64_t tokens = 0;
    for (const MicroBatch& micro : split(groups, 128, rank, 4)) tokens += micro.packed.real_tokens;
    EXPECT_EQ(tokens, 16 * 30);
  }
}

TEST(MicroBatches, AGroupIsNeverSplit) {
  std::vector<Group> pairs;
  for (int32_t i = 0; i < 9; ++i) pairs.push_back({example(0, 30), example(50, 35)});
  for (int rank = 0; rank < 2; ++rank) {
    for (const MicroBatch& micro : split(pairs, 150, rank, 2)) {
      EXPECT_EQ(micro.packed.sequence_count, 2 * static_cast<int>(micro.groups.size()));
    }
  }
}

TEST(MicroBatches, AGroupThatFitsNoPassIsRefused) {
  EXPECT_THROW(split(single_groups({5, 200}), 128, 0, 1), Error);
}

}  // namespace

}  // namespace cria
