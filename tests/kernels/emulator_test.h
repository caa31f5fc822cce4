// Helpers of the tests of kernels/: small kernels of their own, run by the emulator.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "cria/core/error.h"

#include "kernels/device/device.h"
#include "kernels/emulator/thread_order.h"

namespace cria::testing {

inline std::vector<emulated::ThreadOrder> all_thread_orders() {
  using emulated::ThreadOrder;
  return {{ThreadOrder::Kind::forward},
          {ThreadOrder::Kind::reverse},
          {ThreadOrder::Kind::shuffled, 1},
          {ThreadOrder::Kind::shuffled, 2}};
}

// Puts the order back that was in force before.
class WithThreadOrder {
 public:
  explicit WithThreadOrder(emulated::ThreadOrder order) : before_(emulated::thread_order()) {
    emulated::set_thread_order(order);
  }
  ~WithThreadOrder() { emulated::set_thread_order(before_); }
  WithThreadOrder(const WithThreadOrder&) = delete;

 private:
  emulated::ThreadOrder before_;
};

inline void in_every_order(const std::function<void()>& body) {
  for (const emulated::ThreadOrder order : all_thread_orders()) {
    SCOPED_TRACE("order " + std::to_string(static_cast<int>(order.kind)) + " seed " +
                 std::to_string(order.seed));
    const WithThreadOrder in_force(order);
    body();
  }
}

// The message of the Error that body throws; empty when it throws none.
inline std::string error_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

inline ::testing::AssertionResult contains(const std::string& text,
                                           const std::vector<std::string>& parts) {
  for (const std::string& part : parts) {
    if (text.find(part) == std::string::npos) {
      return ::testing::AssertionFailure() << "no '" << part << "' in: " << text;
    }
  }
  return ::testing::AssertionSuccess();
}

}  // namespace cria::testing
