#include "cria/core/parallel.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <vector>

#include <gtest/gtest.h>

namespace cria {

namespace {

// Sets the thread count for one test.
class Threads {
 public:
  explicit Threads(int count) : before_(omp_get_max_threads()) { omp_set_num_threads(count); }
  Threads(const Threads&) = delete;
  ~Threads() { omp_set_num_threads(before_); }

 private:
  int before_;
};

std::vector<std::pair<int64_t, int64_t>> ranges_of(int64_t count, int64_t grain) {
  std::vector<std::pair<int64_t, int64_t>> ranges;
  std::mutex mutex;
  parallel_for(count, grain, [&](int64_t begin, int64_t end) {
    const std::lock_guard lock(mutex);
    ranges.emplace_back(begin, end);
  });
  std::sort(ranges.begin(), ranges.end());
  return ranges;
}

TEST(ParallelFor, CoversEveryItemOnceInContiguousRanges) {
  for (const int threads : {1, 2, 3, 8}) {
    const Threads scope(threads);
    for (const int64_t count : {0, 1, 2, 3, 7, 64, 1001}) {
      for (const int64_t grain : {0, 1, 2, 100, 5000}) {
        int64_t next = 0;
        for (const auto& [begin, end] : ranges_of(count, grain)) {
          EXPECT_EQ(begin, next);
          EXPECT_LT(begin, end);
          next = end;
        }
        EXPECT_EQ(next, count);
      }
    }
  }
}

TEST(ParallelFor, SmallLoopsUseFewerThreads) {
  const Threads scope(4);
  EXPECT_EQ(ranges_of(100, 100).size(), 1u);
  EXPECT_LE(ranges_of(101, 100).size(), 2u);
  EXPECT_EQ(ranges_of(0, 1).size(), 0u);
}

TEST(ParallelFor, SplitsTheSameWayEveryTime) {
  const Threads scope(3);
  const auto first = ranges_of(1000, 1);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(ranges_of(1000, 1), first);
}

TEST(ParallelFor, UsesTheThreads) {
  const Threads scope(2);
  EXPECT_EQ(thread_count(), 2);
  EXPECT_EQ(ranges_of(1000, 1), (std::vector<std::pair<int64_t, int64_t>>{{0, 500}, {500, 1000}}));
}

// The thread that gets each item.
std::vector<int> threads_of(const std::vector<int64_t>& costs) {
  std::vector<int> threads(costs.size(), -1);
  parallel_for_shares(
      static_cast<int64_t>(costs.size()),
      [&](int64_t item) { return costs[static_cast<size_t>(item)]; },
      [&](int64_t item) {
        EXPECT_EQ(threads[static_cast<size_t>(item)], -1);
        threads[static_cast<size_t>(item)] = omp_get_thread_num();
      });
  return threads;
}

TEST(ParallelForShares, VisitsEveryItemOnce) {
  for (const int threads : {1, 2, 5}) {
    const Threads scope(threads);
    for (const size_t count : {0, 1, 3, 1000}) {
      std::vector<int64_t> costs(count);
      for (size_t i = 0; i < count; ++i) costs[i] = static_cast<int64_t>(1 + i * i % 7);
      const std::vector<int> found = threads_of(costs);
      EXPECT_EQ(std::count(found.begin(), found.end(), -1), 0);
      EXPECT_TRUE(std::is_sorted(found.begin(), found.end()));
    }
  }
}

TEST(ParallelForShares, SharesAreEqualByCost) {
  const Threads scope(2);
  EXPECT_EQ(threads_of({1, 1, 1, 1}), (std::vector{0, 0, 1, 1}));
  EXPECT_EQ(threads_of({6, 2, 2, 2}), (std::vector{0, 1, 1, 1}));
  EXPECT_EQ(threads_of({1, 1, 1, 9}), (std::vector{0, 0, 0, 0}));  // the last begins in the half
  EXPECT_EQ(threads_of({1, 2, 3, 2, 8}), (std::vector{0, 0, 0, 0, 1}));
}

TEST(ParallelForEach, VisitsEveryItemOnce) {
  for (const int threads : {1, 2, 5}) {
    const Threads scope(threads);
    for (const int64_t count : {0, 1, 3, 1000}) {
      std::vector<std::atomic<int>> visits(static_cast<size_t>(count));
      parallel_for_each(count, [&](int64_t item) { ++visits[static_cast<size_t>(item)]; });
      EXPECT_TRUE(std::all_of(visits.begin(), visits.end(), [](const auto& n) { return n == 1; }));
    }
  }
}

}  // namespace

}  // namespace cria
