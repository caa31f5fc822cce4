// Every collective against its meaning, for however many ranks the program was started with: CTest
// runs it alone and under mpirun.
#include "cria/dist/communicator.h"

#include <numeric>
#include <vector>

#include <gtest/gtest.h>

namespace cria {

namespace {

// Longer than a piece of a large tensor, and no multiple of any rank count.
constexpr int64_t kLong = (int64_t{1} << 20) + 7;

class Collectives : public ::testing::Test {
 protected:
  const std::unique_ptr<Communicator> communicator_ = make_communicator();
  const int rank_ = communicator_->rank();
  const int size_ = communicator_->size();
};

// Integers that fp32 and bf16 hold exactly: any order of summation gives the same.
float value(int rank, int64_t i) { return static_cast<float>((i + 3 * rank) % 16); }

float sum_over_ranks(int size, int64_t i) {
  float sum = 0;
  for (int rank = 0; rank < size; ++rank) sum += value(rank, i);
  return sum;
}

template <typename T>
std::vector<T> values_of(int rank, int64_t count) {
  std::vector<T> values(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) values[static_cast<size_t>(i)] = T(value(rank, i));
  return values;
}

TEST_F(Collectives, EveryRankHasAPlace) {
  EXPECT_GE(rank_, 0);
  EXPECT_LT(rank_, size_);
  EXPECT_EQ(communicator_->is_root(), rank_ == 0);
}

TEST_F(Collectives, AllReduceSumsEveryElementOfEveryRank) {
  for (const int64_t count : {int64_t{1}, int64_t{5}, kLong}) {
    std::vector<float> wide = values_of<float>(rank_, count);
    std::vector<bf16> narrow = values_of<bf16>(rank_, count);
    communicator_->all_reduce_sum(host_tensor(wide.data(), {count}));
    communicator_->all_reduce_sum(host_tensor(narrow.data(), {count}));
    for (int64_t i = 0; i < count; ++i) {
      const auto index = static_cast<size_t>(i);
      ASSERT_EQ(wide[index], sum_over_ranks(size_, i)) << i;
      ASSERT_EQ(static_cast<float>(narrow[index]), sum_over_ranks(size_, i)) << i;
    }
  }
}

// Rounding shows the order: every rank must hold the very same bits.
TEST_F(Collectives, AllReduceGivesEveryRankTheSameBits) {
  constexpr int64_t kCount = 1000;
  std::vector<float> values(kCount);
  for (int64_t i = 0; i < kCount; ++i) {
    values[static_cast<size_t>(i)] = 1.0f / static_cast<float>(1 + i + 17 * rank_);
  }
  communicator_->all_reduce_sum(host_tensor(values.data(), {kCount}));
  std::vector<float> of_root = values;
  communicator_->broadcast(host_tensor(of_root.data(), {kCount}), 0);
  EXPECT_EQ(values, of_root);
}

TEST_F(Collectives, AllReduceOfDoubles) {
  std::vector<double> values = {1.0, static_cast<double>(rank_)};
  communicator_->all_reduce_sum(std::span<double>(values));
  EXPECT_EQ(values[0], size_);
  EXPECT_EQ(values[1], size_ * (size_ - 1) / 2);
}

TEST_F(Collectives, ReduceScatterThenAllGatherIsAllReduce) {
  const int64_t part = kLong;
  std::vector<float> input = values_of<float>(rank_, part * size_);
  std::vector<float> own(static_cast<size_t>(part));
  communicator_->reduce_scatter_sum(host_tensor(own.data(), {part}),
                                    host_tensor(input.data(), {part * size_}));
  for (int64_t i = 0; i < part; ++i) {
    ASSERT_EQ(own[static_cast<size_t>(i)], sum_over_ranks(size_, rank_ * part + i)) << i;
  }
  std::vector<float> all(input.size());
  communicator_->all_gather(host_tensor(all.data(), {part * size_}),
                            host_tensor(own.data(), {part}));
  for (int64_t i = 0; i < part * size_; ++i) {
    ASSERT_EQ(all[static_cast<size_t>(i)], sum_over_ranks(size_, i)) << i;
  }
}

TEST_F(Collectives, BroadcastFromEveryRank) {
  for (int root = 0; root < size_; ++root) {
    std::vector<float> values = values_of<float>(rank_, 9);
    communicator_->broadcast(host_tensor(values.data(), {9}), root);
    EXPECT_EQ(values, values_of<float>(root, 9));
    std::vector<std::byte> bytes(3, std::byte(rank_ + 1));
    communicator_->broadcast(std::span(bytes), root);
    EXPECT_EQ(bytes, std::vector<std::byte>(3, std::byte(root + 1)));
  }
}

}  // namespace

}  // namespace cria
