// Expects an Error of a kind whose message holds the given words, in one line.
#pragma once

#include <string>

#include <gtest/gtest.h>

#include "cria/core/error.h"

namespace cria {

template <typename Body>
void expect_error(Error::Kind kind, const std::vector<std::string>& words, const Body& body) {
  try {
    body();
    ADD_FAILURE() << "no error; expected one with '" << words[0] << "'";
  } catch (const Error& error) {
    const std::string message = error.what();
    EXPECT_EQ(error.kind(), kind) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    for (const std::string& word : words) {
      EXPECT_NE(message.find(word), std::string::npos) << "'" << word << "' is not in: " << message;
    }
  }
}

template <typename Body>
void expect_input_error(const std::vector<std::string>& words, const Body& body) {
  expect_error(Error::Kind::input, words, body);
}

}  // namespace cria
