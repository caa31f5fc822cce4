// Ends a test program at once, in one line, where CRIA_TEST_DEVICE names a device that cannot be
// used here: tests that ran on another one would say nothing.
#include <iostream>

#include <gtest/gtest.h>

#include "cria/core/error.h"
#include "cria/ops/backend.h"

#include "support/places.h"

namespace cria::testing {

namespace {

class TestDevice : public ::testing::Environment {
 public:
  void SetUp() override {
    try {
      make_backend(test_device());
    } catch (const Error& error) {
      std::cerr << "error: " << error.what() << '\n';
      std::exit(error.exit_code());
    }
  }
};

[[maybe_unused]] const auto* const registered = ::testing::AddGlobalTestEnvironment(new TestDevice);

}  // namespace

}  // namespace cria::testing
