#include "cria/text/utf8.h"

#include <string>

#include <gtest/gtest.h>

namespace cria {
namespace {

TEST(Utf8, WellFormedTextPasses) {
  EXPECT_EQ(invalid_utf8(""), std::string_view::npos);
  EXPECT_EQ(invalid_utf8(std::string_view("a\0b", 3)), std::string_view::npos);
  EXPECT_EQ(invalid_utf8("caf\u00e9 \u20ac \U0001F600 \uFFFD \U0010FFFF"), std::string_view::npos);
}

TEST(Utf8, NamesTheFirstBadByte) {
  EXPECT_EQ(invalid_utf8("ab\xff"), 2u);
  EXPECT_EQ(invalid_utf8("\x80"), 0u);
  EXPECT_EQ(invalid_utf8("a\xc3"), 1u);             // cut short
  EXPECT_EQ(invalid_utf8("a\xe2\x82"), 1u);         // cut short
  EXPECT_EQ(invalid_utf8("\xc0\xaf"), 0u);          // overlong, two bytes
  EXPECT_EQ(invalid_utf8("\xe0\x80\xaf"), 0u);      // overlong, three bytes
  EXPECT_EQ(invalid_utf8("\xf0\x80\x80\xaf"), 0u);  // overlong, four bytes
  EXPECT_EQ(invalid_utf8("a\xed\xa0\x80"), 1u);     // surrogate
  EXPECT_EQ(invalid_utf8("\xf4\x90\x80\x80"), 0u);  // above U+10FFFF
  EXPECT_EQ(invalid_utf8("\xc3\x28"), 0u);          // no continuation byte
}

TEST(Utf8, CountsTheBytesOfAnUnfinishedCharacter) {
  for (const std::string character : {"a", "\u00e9", "\u20ac", "\U0001F600"}) {
    for (size_t bytes = 0; bytes < character.size(); ++bytes) {
      EXPECT_EQ(unfinished_utf8("x" + character.substr(0, bytes)), bytes);
      EXPECT_EQ(unfinished_utf8(character.substr(0, bytes)), bytes);
    }
    EXPECT_EQ(unfinished_utf8("x" + character), 0u);
  }
  // Nothing can finish these.
  EXPECT_EQ(unfinished_utf8("\x80"), 0u);
  EXPECT_EQ(unfinished_utf8("\xff"), 0u);
  EXPECT_EQ(unfinished_utf8("\xc0"), 0u);
  EXPECT_EQ(unfinished_utf8("\xf5"), 0u);
  EXPECT_EQ(unfinished_utf8("a\x80\x80\x80\x80"), 0u);
}

TEST(Strip, TakesWhatPythonTakes) {
  EXPECT_EQ(strip(" \t\r\n\v\f a b \x1c\x1f\n"), "a b");
  EXPECT_EQ(strip("\u00a0\u3000\u2003x\u2028\u0085"), "x");
  EXPECT_EQ(strip("\u1680\u205f\u202f"), "");
  EXPECT_EQ(strip(""), "");
  // Not white space for Python: zero-width space, byte order mark.
  EXPECT_EQ(strip("\u200bx\ufeff"), "\u200bx\ufeff");
  // Ends that share bytes with white space but are other characters.
  EXPECT_EQ(strip("\u00e0x\u0100"), "\u00e0x\u0100");
}

TEST(SplitWords, IsPythonsSplit) {
  using Words = std::vector<std::string_view>;
  EXPECT_EQ(split_words(" a\t b\u00a0c\u3000\u2003\u00e0\x1c"), (Words{"a", "b", "c", "\u00e0"}));
  EXPECT_EQ(split_words("a\u200bb c."), (Words{"a\u200bb", "c."}));
  EXPECT_EQ(split_words(" \n "), Words());
  EXPECT_EQ(split_words(""), Words());
}

}  // namespace
}  // namespace cria
