// What of the CUDA runtime can be tested without a GPU.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "cria/core/error.h"

#include "kernels/runtime/cublaslt.h"
#include "kernels/runtime/local_rank.h"
#include "kernels/runtime/make_backend.h"
#include "support/scoped_variable.h"
#include "support/temporary_directory.h"

namespace cria::testing {

namespace {

// Loads the library where it is installed, and finds all of its functions that are called.
TEST(CublasLt, HasEveryFunction) {
  try {
    const cuda::CublasLt& library = cuda::cublaslt();
    const std::string text = library.cublasLtGetStatusString(CUBLAS_STATUS_NOT_SUPPORTED);
    EXPECT_NE(text.find("not supported"), std::string::npos) << text;
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("LD_LIBRARY_PATH"), std::string::npos);
    GTEST_SKIP() << error.what();
  }
}

// As pip lays it out: site-packages/nvidia/cu13/lib, for CUDA 12 nvidia/cublas/lib.
TEST(CublasLt, IsLookedForInTheToolkitAndInPyTorchsWheels) {
  const TemporaryDirectory directory;
  const std::string name = fmt::format("/libcublasLt.so.{}", CUBLAS_VER_MAJOR);
  const std::string wheel = directory / "lib/python3.11/site-packages/nvidia/cu13/lib";
  std::filesystem::create_directories(wheel);
  std::ofstream(wheel + name) << "a library";
  const ScopedVariable environment("VIRTUAL_ENV", directory.path());
  const ScopedVariable toolkit("CUDA_HOME", "/opt/cuda");

  const std::vector<std::string> places = cuda::cublaslt_places();
  const auto place_of = [&](const std::string& path) {
    return std::find(places.begin(), places.end(), path) - places.begin();
  };
  EXPECT_EQ("/" + places.front(), name) << "LD_LIBRARY_PATH comes first";
  EXPECT_EQ(place_of("/opt/cuda/lib64" + name), 1);
  EXPECT_LT(place_of(wheel + name), static_cast<std::ptrdiff_t>(places.size()));
}

TEST(MissingGpu, IsSaidWithWhatToDo) {
  const MissingDevice missing = cuda::missing_device();
  if (!missing) GTEST_SKIP() << "there is a GPU here";
  EXPECT_FALSE(missing.remedy.empty());
  EXPECT_EQ(make_backend("auto")->device(), Device::cpu);
  try {
    make_backend("cuda");
    ADD_FAILURE() << "a backend without a GPU";
  } catch (const Error& error) {
    EXPECT_EQ(error.exit_code(), 2);
    EXPECT_NE(std::string(error.what()).find(missing.problem), std::string::npos);
  }
}

class LocalRank : public ::testing::Test {
 protected:
  void TearDown() override {
    for (const char* name : {"OMPI_COMM_WORLD_LOCAL_RANK", "SLURM_LOCALID", "MPI_LOCALRANKID"}) {
      unsetenv(name);
    }
  }
};

TEST_F(LocalRank, IsTheLaunchers) {
  EXPECT_EQ(local_rank(), 0);
  setenv("SLURM_LOCALID", "5", 1);
  EXPECT_EQ(local_rank(), 5);
  setenv("OMPI_COMM_WORLD_LOCAL_RANK", "3", 1);  // mpirun within an allocation of srun
  EXPECT_EQ(local_rank(), 3);
}

TEST_F(LocalRank, RanksGoRoundTheGpus) {
  EXPECT_EQ(gpu_of_rank(0, 4), 0);
  EXPECT_EQ(gpu_of_rank(3, 4), 3);
  EXPECT_EQ(gpu_of_rank(4, 4), 0);
  EXPECT_EQ(gpu_of_rank(5, 1), 0);
}

}  // namespace

}  // namespace cria::testing
