// cuDNN's attention as far as it goes without a GPU: loading, and what is said of what is missing.
#include <gtest/gtest.h>

#include "kernels/runtime/cudnn_attention.h"
#include "kernels/runtime/cudnn_library.h"
#include "kernels/runtime/library_attention.h"

namespace cria::testing {

namespace {

bool loads() {
  try {
    cuda::cudnn();
    return true;
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("LD_LIBRARY_PATH"), std::string::npos);
    return false;
  }
}

// Loads the library where it is installed, and finds all of its functions that are called.
TEST(CudnnLibrary, HasEveryFunction) {
  if (!loads()) GTEST_SKIP() << "no cuDNN here";
  EXPECT_EQ(cuda::cudnn().cudnnGetVersion() / 10000, size_t{CUDNN_MAJOR});
}

TEST(CudnnLibrary, ErrorsNameTheCallAndWhatToDo) {
  if (!loads()) GTEST_SKIP() << "no cuDNN here";
  try {
    CRIA_CUDNN(cudnnCreate(nullptr));
    ADD_FAILURE() << "cuDNN wrote to nowhere";
  } catch (const Error& error) {
    const std::string text = error.what();
    for (const char* part : {"cudnnCreate(nullptr)", "cudnn_test.cpp:", "training.attention"}) {
      EXPECT_NE(text.find(part), std::string::npos) << text;
    }
  }
}

TEST(CudnnAttention, WhatIsMissingIsSaidWithWhatToDo) {
  const MissingDevice missing = cuda::missing_cudnn_attention();
  if (!missing) GTEST_SKIP() << "it is all there";
  EXPECT_FALSE(missing.remedy.empty());
}

TEST(CudnnAttention, DeterministicBackwardPassesOfPacksAreOfSomeGpus) {
  EXPECT_EQ(cuda::cudnn_needed_by(8), 0);
  EXPECT_EQ(cuda::cudnn_needed_by(9), 92500);
  EXPECT_EQ(cuda::cudnn_needed_by(10), 91800);
  EXPECT_EQ(cuda::cudnn_needed_by(12), 0);
}

}  // namespace

}  // namespace cria::testing
