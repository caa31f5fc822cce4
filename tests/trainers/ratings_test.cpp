// Ratings as they come back.
#include "trainers/rlhf/ratings.h"

#include <gtest/gtest.h>

#include "cria/core/error.h"

namespace cria {
namespace {

const std::vector<int64_t> kPairs = {3, 5};
const std::string kGood3 = R"({"pair": 3, "better": "second", "rating": "slightly_better"})";
const std::string kGood5 =
    R"({"pair": 5, "better": "first", "rating": "negligibly_better", "first_safe": true, "second_safe": false})";

std::string error_of(const std::string& text) {
  try {
    parse_ratings(text, kPairs, "r.jsonl", "write all");
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), Error::Kind::input);
    return error.what();
  }
  return "none";
}

TEST(Ratings, AreReadInTheOrderOfThePairs) {
  const auto ratings = parse_ratings(kGood3 + "\n\n" + kGood5 + "\n", kPairs, "r.jsonl", "");
  ASSERT_EQ(ratings.size(), 2u);
  EXPECT_FALSE(ratings[0].first_is_better);
  EXPECT_EQ(ratings[0].rating, Rating::slightly_better);
  EXPECT_FALSE(ratings[0].first_safe.has_value());
  EXPECT_TRUE(ratings[1].first_is_better);
  EXPECT_EQ(ratings[1].rating, Rating::negligibly_better);
  EXPECT_EQ(ratings[1].first_safe, true);
  EXPECT_EQ(ratings[1].second_safe, false);
}

TEST(Ratings, WhatIsWrongIsNamedWithItsLine) {
  EXPECT_EQ(error_of(""), "r.jsonl: 0 ratings of 2 pairs; write all");
  EXPECT_EQ(error_of(kGood3 + "\n"), "r.jsonl: 1 ratings of 2 pairs; write all");
  EXPECT_EQ(error_of(kGood3 + "\n" + kGood5 + "\n" + kGood5 + "\n"),
            "r.jsonl: 3 ratings of 2 pairs; write all");
  EXPECT_NE(error_of(kGood5 + "\n" + kGood3 + "\n").find("r.jsonl:1: the rating of pair 3"),
            std::string::npos);
  const auto second = [](const std::string& line) { return error_of(kGood3 + "\n" + line + "\n"); };
  EXPECT_NE(second("hello").find("r.jsonl:2"), std::string::npos);
  EXPECT_NE(second("[]").find("no JSON object"), std::string::npos);
  EXPECT_NE(second(R"({"better": "first", "rating": "better"})").find("field 'pair'"),
            std::string::npos);
  EXPECT_NE(second(R"({"pair": 5, "better": 1, "rating": "better"})").find("field 'better' is 1"),
            std::string::npos);
  EXPECT_NE(second(R"({"pair": 5, "better": "first", "rating": "best"})").find("'rating' is"),
            std::string::npos);
  EXPECT_NE(second(R"({"pair": 5, "better": "first"})").find("field 'rating' is missing"),
            std::string::npos);
  EXPECT_NE(second(R"({"pair": 5, "better": "first", "rating": "better", "first_safe": 1})")
                .find("field 'first_safe' is 1"),
            std::string::npos);
}

}  // namespace
}  // namespace cria
