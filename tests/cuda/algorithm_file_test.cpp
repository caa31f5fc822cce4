// What a search for algorithms found is kept: no GPU is needed to see it.
#include "kernels/runtime/algorithm_file.h"

#include <array>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "cria/core/error.h"

#include "support/scoped_variable.h"
#include "support/temporary_directory.h"

namespace cria::testing {

namespace {

using cuda::AlgorithmFile;

constexpr AlgorithmFile::Algorithm kFirst = {1, 2, 3, 4, 5, 6, 7, 0xfedcba9876543210u};
constexpr AlgorithmFile::Algorithm kSecond = {8, 7, 6, 5, 4, 3, 2, 1};

// One who never searches.
std::optional<AlgorithmFile::Algorithm> known(AlgorithmFile file, const std::string& product) {
  return file.find(product, []() -> AlgorithmFile::Algorithm {
    throw failure("the test", "there was a search");
  });
}

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(AlgorithmFile, KeepsWhatASearchFound) {
  const TemporaryDirectory directory;
  int searches = 0;
  {
    AlgorithmFile file(directory / "new/folder", "NVIDIA H200/1");
    for (int i = 0; i < 2; ++i) {
      EXPECT_EQ(file.find("64x32x16", [&] { return ++searches, kFirst; }), kFirst);
    }
    EXPECT_EQ(file.find("64x32x17", [&] { return ++searches, kSecond; }), kSecond);
    EXPECT_EQ(file.path(), directory / "new/folder/NVIDIA_H200_1.algorithms");
  }
  EXPECT_EQ(searches, 2);
  EXPECT_EQ(known({directory / "new/folder", "NVIDIA H200/1"}, "64x32x16"), kFirst);
  EXPECT_EQ(known({directory / "new/folder", "NVIDIA H200/1"}, "64x32x17"), kSecond);
  EXPECT_THROW(known({directory / "new/folder", "another GPU"}, "64x32x16"), Error);
}

// Each would find another algorithm: the file decides.
TEST(AlgorithmFile, ProcessesThatSearchAtOnceAgree) {
  const TemporaryDirectory directory;
  constexpr size_t kProcesses = 8;
  std::atomic<uint64_t> searches = 0;
  std::array<std::optional<AlgorithmFile::Algorithm>, kProcesses> found;
  std::vector<std::jthread> processes;
  for (size_t i = 0; i < kProcesses; ++i) {
    processes.emplace_back([&, i] {
      found[i] = AlgorithmFile(directory.path(), "gpu").find("p", [&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
        return AlgorithmFile::Algorithm{++searches};
      });
    });
  }
  processes.clear();
  EXPECT_EQ(searches, 1u);
  for (const auto& algorithm : found) EXPECT_EQ(algorithm, AlgorithmFile::Algorithm{1});
}

TEST(AlgorithmFile, DropsHalfALineOfAProcessThatWasKilled) {
  const TemporaryDirectory directory;
  AlgorithmFile(directory.path(), "gpu").find("a", [] { return kFirst; });
  const std::string path = directory / "gpu.algorithms";
  const std::string whole = text_of(path);
  for (const size_t cut : {size_t{1}, whole.size() / 2, whole.size() - 2}) {
    std::ofstream(path) << whole << "b" << whole.substr(1, cut);
    EXPECT_EQ(AlgorithmFile(directory.path(), "gpu").find("b", [] { return kSecond; }), kSecond);
    EXPECT_EQ(known({directory.path(), "gpu"}, "a"), kFirst);
    EXPECT_EQ(known({directory.path(), "gpu"}, "b"), kSecond);
    std::ofstream(path) << whole;
  }
}

TEST(AlgorithmFile, SaysWhichLineIsNotItsOwn) {
  const TemporaryDirectory directory;
  AlgorithmFile(directory.path(), "gpu").find("a", [] { return kFirst; });
  const std::string path = directory / "gpu.algorithms";
  const std::string whole = text_of(path);
  const std::vector<std::string> bad_lines = {"b\n",
                                              "b 12\n",
                                              "\n",
                                              " " + whole.substr(2),
                                              "b" + whole.substr(1, whole.size() - 2) + "-0\n",
                                              "b" + whole.substr(1, whole.size() - 3) + "x\n"};
  for (const std::string& bad : bad_lines) {
    std::ofstream(path) << whole << bad;
    try {
      known({directory.path(), "gpu"}, "a");
      ADD_FAILURE() << bad;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(path + ":2"), std::string::npos) << error.what();
      EXPECT_NE(std::string(error.what()).find("delete the file"), std::string::npos);
    }
  }
}

// Without a place to keep what it finds, a search would make bits differ from process to process.
TEST(AlgorithmFile, DoesNotSearchWhatCannotBeKept) {
  const TemporaryDirectory directory;
  EXPECT_EQ(known({"", "gpu"}, "a"), std::nullopt);
  std::ofstream(directory / "file") << "no folder";
  EXPECT_EQ(known({directory / "file", "gpu"}, "a"), std::nullopt);
  std::filesystem::create_directory(directory / "gpu.algorithms");
  EXPECT_EQ(known({directory.path(), "gpu"}, "a"), std::nullopt);
}

TEST(AlgorithmFile, LiesInTheCacheOfTheUser) {
  const ScopedVariable home("HOME", "/home/somebody"), cache("XDG_CACHE_HOME", ""),
      ours("CRIA_CACHE_DIR", "");
  EXPECT_EQ(cuda::cache_directory(), "/home/somebody/.cache/cria");
  {
    const ScopedVariable nowhere("HOME", "");
    EXPECT_EQ(cuda::cache_directory(), "");
  }
  const ScopedVariable elsewhere("XDG_CACHE_HOME", "/cache");
  EXPECT_EQ(cuda::cache_directory(), "/cache/cria");
  const ScopedVariable mine("CRIA_CACHE_DIR", "/mine");
  EXPECT_EQ(cuda::cache_directory(), "/mine");
}

}  // namespace

}  // namespace cria::testing
