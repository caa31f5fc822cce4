// What of the CUDA runtime can be tested without a GPU.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>

#include <gtest/gtest.h>

#include "cria/core/error.h"

#include "kernels/runtime/cublaslt.h"
#include "kernels/runtime/local_rank.h"
#include "kernels/runtime/make_backend.h"
#include "kernels/runtime/shared_library.h"
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
TEST(SharedLibraries, AreLookedForInTheToolkitAndInPyTorchsWheels) {
  const TemporaryDirectory directory;
  for (const std::string file : {"libcublasLt.so.13", "libnccl.so.2", "libcudnn.so.9"}) {
    const std::string wheel = directory / "lib/python3.11/site-packages/nvidia/one/lib";
    std::filesystem::create_directories(wheel);
    std::ofstream(wheel + "/" + file) << "a library";
    const ScopedVariable environment("VIRTUAL_ENV", directory.path());
    const ScopedVariable toolkit("CUDA_HOME", "/opt/cuda");

    const std::vector<std::string> places = cuda::library_places(file);
    const auto place_of = [&](const std::string& path) {
      return std::find(places.begin(), places.end(), path) - places.begin();
    };
    EXPECT_EQ(places.front(), file) << "LD_LIBRARY_PATH comes first";
    EXPECT_EQ(place_of("/opt/cuda/lib64/" + file), 1);
    EXPECT_LT(place_of(wheel + "/" + file), static_cast<std::ptrdiff_t>(places.size()));
  }
}

std::string error_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(SharedLibraries, WhatIsMissingIsSaidWithWhatToDo) {
  const std::string library = error_of(
      [] { cuda::SharedLibrary("Cria's own", "libcria_none.so.7", "install the whole world"); });
  for (const char* part :
       {"Cria's own: ", "libcria_none.so.7", "install the whole world", "LD_LIBRARY_PATH"}) {
    EXPECT_NE(library.find(part), std::string::npos) << library;
  }
  const std::string symbol = error_of([] {
    void (*function)() = nullptr;
    cuda::SharedLibrary("C's mathematics", "libm.so.6", "install C").find("cria_none", function);
  });
  EXPECT_NE(symbol.find("libm.so.6 has no cria_none"), std::string::npos) << symbol;
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
