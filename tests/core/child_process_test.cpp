#include "cria/core/child_process.h"

#include <chrono>
#include <csignal>
#include <fstream>

#include <gtest/gtest.h>
#include <unistd.h>

#include "cria/core/error.h"

namespace cria {
namespace {

constexpr auto kPatience = std::chrono::seconds(30);

// What was killed may be there until somebody waits for it.
bool is_alive(const std::string& process) {
  std::ifstream status("/proc/" + process + "/stat");
  std::string line;
  std::getline(status, line);
  return !line.empty() && line.find(") Z ") == std::string::npos;
}

// More than any pipe holds, so that one side would wait for the other for ever.
TEST(ChildProcess, ReadsAndWritesMuch) {
  std::string lines;
  for (int i = 0; i < 200000; ++i) lines += std::to_string(i) + "\n";
  const ChildResult result = run_child({"cat"}, {.input = lines});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.output, lines);
  EXPECT_FALSE(result.timed_out);
}

TEST(ChildProcess, SaysHowItEnded) {
  const ChildResult failed = run_child({"sh", "-c", "echo out; echo why >&2; exit 3"}, {});
  EXPECT_EQ(failed.exit_code, 3);
  EXPECT_EQ(failed.output, "out\n");
  EXPECT_EQ(failed.errors, "why\n");
  EXPECT_EQ(run_child({"sh", "-c", "kill -TERM $$"}, {}).exit_code, 128 + SIGTERM);
}

TEST(ChildProcess, IsKilledWithItsChildrenWhenItTakesTooLong) {
  const auto start = std::chrono::steady_clock::now();
  const ChildResult result = run_child({"sh", "-c", "sleep 61 & echo $!; wait"},
                                       {.timeout = std::chrono::milliseconds(300)});
  EXPECT_TRUE(result.timed_out);
  EXPECT_LT(std::chrono::steady_clock::now() - start, kPatience);
  const std::string grandchild = result.output.substr(0, result.output.find('\n'));
  while (is_alive(grandchild) && std::chrono::steady_clock::now() - start < kPatience) usleep(1000);
  EXPECT_FALSE(is_alive(grandchild)) << grandchild;
}

TEST(ChildProcess, ThatIsNotThereNamesTheRemedy) {
  try {
    run_child({"no-such-program"}, {.remedy = "install it"});
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "no-such-program: is not installed; install it");
  }
}

}  // namespace
}  // namespace cria
