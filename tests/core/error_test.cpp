#include "cria/core/error.h"

#include <cerrno>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cria {

namespace {

using ::testing::HasSubstr;

TEST(Error, SaysWhereWhatAndWhatToDo) {
  EXPECT_STREQ(input_error("a.json:3", "no field 'text'", "add it").what(),
               "a.json:3: no field 'text'; add it");
  EXPECT_STREQ(input_error("a.json", "is empty").what(), "a.json: is empty");
  EXPECT_STREQ(failure("", "the loss is NaN", "lower the rate").what(),
               "the loss is NaN; lower the rate");
}

TEST(Error, KindDecidesTheExitCode) {
  EXPECT_EQ(input_error("config", "wrong").kind(), Error::Kind::input);
  EXPECT_EQ(input_error("config", "wrong").exit_code(), 2);
  EXPECT_EQ(failure("step 3", "wrong").kind(), Error::Kind::failure);
  EXPECT_EQ(failure("step 3", "wrong").exit_code(), 1);
}

TEST(Error, SystemFailuresCarryTheReason) {
  errno = ENOSPC;
  const Error error = system_failure("out/model.safetensors", "cannot write");
  EXPECT_STREQ(error.what(), "out/model.safetensors: cannot write: No space left on device");
  EXPECT_EQ(error.exit_code(), 1);
}

TEST(Error, IsCaughtAsAStandardException) {
  EXPECT_THROW(throw failure("here", "wrong"), std::runtime_error);
}

TEST(Assert, NamesTheConditionAndThePlace) {
  const int rows = 3;
  EXPECT_NO_THROW(CRIA_ASSERT(rows == 3));
  try {
    CRIA_ASSERT(rows == 4);
    FAIL() << "the assertion did not stop";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), Error::Kind::failure);
    EXPECT_THAT(error.what(), HasSubstr("error_test.cpp:"));
    EXPECT_THAT(error.what(), HasSubstr("'rows == 4' does not hold"));
  }
}

}  // namespace

}  // namespace cria
