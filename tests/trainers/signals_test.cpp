#include "trainers/signals.h"

#include <atomic>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <pthread.h>

#include "cria/core/tensor.h"

#include "csrc/ops/cpu/cpu_ops.h"

namespace cria {
namespace {

// The gradient of a weight of 64 x 48 over 500 tokens.
std::vector<float> product() {
  std::vector<float> weight(64 * 48), outputs(500 * 64), inputs(500 * 48);
  for (size_t i = 0; i < outputs.size(); ++i) outputs[i] = std::sin(static_cast<float>(i));
  for (size_t i = 0; i < inputs.size(); ++i) inputs[i] = std::cos(static_cast<float>(i));
  cpu::linear_backward_weight({.weight_gradient = host_tensor(weight.data(), {64, 48}),
                               .output_gradient = host_tensor(outputs.data(), {500, 64}),
                               .input = host_tensor(inputs.data(), {500, 48})});
  return weight;
}

std::atomic<int> handled = 0;

// Signals keep coming while products are computed, until `count` of them have been handled.
bool products_stay_what_they_were(int count) {
  handle_signal(SIGUSR1, [](int) { ++handled; });
  const std::vector<float> expected = product();
  std::atomic<bool> done = false;
  std::thread sender([&, receiver = pthread_self()] {
    while (!done) {
      pthread_kill(receiver, SIGUSR1);
      std::this_thread::sleep_for(std::chrono::microseconds(20));
    }
  });
  bool same = true;
  while (same && handled < count) same = product() == expected;
  done = true;
  sender.join();
  return same;
}

// In a process of its own: what a handler overwrites ends it.
TEST(Signals, LeaveAProductAlone) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(std::exit(products_stay_what_they_were(2000) ? 0 : 1), ::testing::ExitedWithCode(0),
              "");
}

}  // namespace
}  // namespace cria
