// How gradients are summed, and where: for however many ranks the program was started with.
#include "cria/dist/reduction.h"

#include <vector>

#include <gtest/gtest.h>

#include "csrc/dist/nccl_choice.h"

namespace cria {

namespace {

TEST(Reduction, SumsEveryTensorThatWasStarted) {
  const std::unique_ptr<Communicator> communicator = make_communicator();
  const std::unique_ptr<Backend> backend = make_backend("cpu");
  const std::unique_ptr<Reduction> reduction = make_reduction(*communicator, *backend);
  const auto rank = static_cast<float>(communicator->rank());
  const auto size = static_cast<float>(communicator->size());
  std::vector<float> first(1000, rank);
  std::vector<bf16> second(7, bf16(1.0f));
  reduction->start(host_tensor(first.data(), {1000}));
  reduction->start(host_tensor(second.data(), {7}));
  reduction->finish();
  for (const float value : first) EXPECT_EQ(value, size * (size - 1) / 2);
  for (const bf16 value : second) EXPECT_EQ(static_cast<float>(value), size);
}

TEST(Reduction, OnACpuIsInHostMemory) {
  const std::unique_ptr<Communicator> communicator = make_communicator();
  const std::unique_ptr<Backend> backend = make_backend("cpu");
  for (const char* way : {"auto", "host"}) {
    const std::string text = make_reduction(*communicator, *backend, way)->description();
    EXPECT_EQ(text.rfind("in host memory", 0), 0u) << text;
  }
}

TEST(Reduction, NcclWithoutAGpuIsAnErrorThatSaysWhatIsMissing) {
  const std::unique_ptr<Communicator> communicator = make_communicator();
  const std::unique_ptr<Backend> backend = make_backend("cpu");
  try {
    make_reduction(*communicator, *backend, "nccl");
    ADD_FAILURE() << "NCCL without a GPU";
  } catch (const Error& error) {
    EXPECT_EQ(error.exit_code(), 2);
    EXPECT_STREQ(error.what(),
                 "training.reduction: nccl: it sums in the memory of GPUs, and the device is cpu; "
                 "set it to auto or host");
  }
}

NcclOffer offer(uint8_t gpu) { return {.usable = 1, .gpu = {gpu}}; }

TEST(NcclChoice, ARankForEachGpu) {
  const NcclOffer offers[] = {offer(1), offer(2), offer(3)};
  EXPECT_FALSE(obstacle_to_nccl(offers, {}));
}

TEST(NcclChoice, RanksThatShareAGpuCannot) {
  const NcclOffer offers[] = {offer(1), offer(2), offer(3), offer(2)};
  const MissingDevice obstacle = obstacle_to_nccl(offers, {});
  EXPECT_EQ(obstacle.problem, "ranks 1 and 3 share a GPU");
  EXPECT_FALSE(obstacle.remedy.empty());
}

TEST(NcclChoice, ARankThatLacksItKeepsTheOthersFromIt) {
  const NcclOffer offers[] = {offer(1), NcclOffer{}};
  EXPECT_EQ(obstacle_to_nccl(offers, {}).problem, "rank 1 has no GPU or no NCCL");
  EXPECT_EQ(obstacle_to_nccl(offers, {"no library here", "install it"}).problem, "no library here");
}

}  // namespace

}  // namespace cria
