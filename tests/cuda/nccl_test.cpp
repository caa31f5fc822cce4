// NCCL as far as it goes without a GPU: loading, and the choice of its algorithm. With one, sums of
// a single rank.
#include <gtest/gtest.h>

#include "cria/core/buffer.h"
#include "cria/ops/backend.h"

#include "kernels/runtime/nccl_library.h"
#include "kernels/runtime/nccl_sums.h"
#include "support/scoped_variable.h"

namespace cria::testing {

namespace {

// Loads the library where it is installed, and finds all of its functions that are called.
TEST(Nccl, HasEveryFunction) {
  if (const MissingDevice missing = cuda::missing_nccl()) {
    EXPECT_NE(missing.problem.find("LD_LIBRARY_PATH"), std::string::npos) << missing.problem;
    GTEST_SKIP() << missing.problem;
  }
  EXPECT_EQ(cuda::NcclSums::version().rfind("2.", 0), 0u) << cuda::NcclSums::version();
}

TEST(Nccl, ErrorsNameTheCallAndWhatToDo) {
  if (cuda::missing_nccl()) GTEST_SKIP() << "no NCCL here";
  try {
    CRIA_NCCL(ncclGetUniqueId(nullptr));
    ADD_FAILURE() << "NCCL wrote to nowhere";
  } catch (const Error& error) {
    const std::string text = error.what();
    for (const char* part : {"ncclGetUniqueId(nullptr)", "nccl_test.cpp:", "NCCL_DEBUG=INFO"}) {
      EXPECT_NE(text.find(part), std::string::npos) << text;
    }
    EXPECT_EQ(error.exit_code(), 1);
  }
}

TEST(Nccl, ItsAlgorithmIsPinnedUnlessTheUserChose) {
  const auto value = [](const char* name) {
    const char* found = std::getenv(name);
    return std::string(found ? found : "");
  };
  const ScopedVariable no_algorithm("NCCL_ALGO", std::nullopt);
  const ScopedVariable no_protocol("NCCL_PROTO", std::nullopt);
  cuda::pin_nccl_algorithm();
  EXPECT_EQ(value("NCCL_ALGO"), "Ring");
  EXPECT_EQ(value("NCCL_PROTO"), "Simple");
  const ScopedVariable algorithm("NCCL_ALGO", "Tree");
  const ScopedVariable protocol("NCCL_PROTO", "LL128");
  cuda::pin_nccl_algorithm();
  EXPECT_EQ(value("NCCL_ALGO"), "Tree");
  EXPECT_EQ(value("NCCL_PROTO"), "LL128");
}

// A single rank's sum is what it has; it must wait for the ops before it, and those behind finish()
// for it.
TEST(Nccl, ASingleRanksSumsRunInTheOrderOfTheOps) {
  if (cuda::missing_device()) GTEST_SKIP() << "no GPU here";
  if (cuda::missing_nccl()) GTEST_SKIP() << "no NCCL here";
  const std::unique_ptr<Backend> backend = make_backend("cuda");
  constexpr int64_t kCount = (int64_t{1} << 24) + 3;
  Arena arena(backend->memory());
  Tensor values;
  Tensor source;
  Tensor copy;
  for (Tensor* tensor : {&values, &source, &copy}) {
    arena.reserve(*tensor, "gradients", DType::f32, Shape{kCount});
  }
  arena.allocate();
  std::vector<float> host(kCount);
  for (size_t i = 0; i < host.size(); ++i) host[i] = static_cast<float>(i % 1000) / 7;
  backend->copy_from_host(source, host.data());

  cuda::NcclSums sums(0, 1, cuda::make_nccl_id());
  backend->copy(values, source);
  sums.start(values);
  sums.finish();
  backend->copy(copy, values);
  backend->zero(values);
  std::vector<float> found(host.size());
  backend->copy_to_host(found.data(), copy);
  EXPECT_EQ(found, host);
}

}  // namespace

}  // namespace cria::testing
