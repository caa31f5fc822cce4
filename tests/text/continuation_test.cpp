#include "cria/text/continuation.h"

#include <vector>

#include <gtest/gtest.h>

#include "cria/core/random.h"
#include "cria/text/utf8.h"

#include "support/places.h"

namespace cria {

namespace {

const Tokenizer& golden_tokenizer() {
  static const Tokenizer tokenizer(testing::source_path("tests/golden/tokenizer.model"));
  return tokenizer;
}

// What is shown while the tokens come in must always be the beginning of what all of them say, and
// at the end be all of it. Gives the text.
std::string expect_shown_bit_by_bit(const std::vector<int32_t>& before,
                                    const std::vector<int32_t>& ids) {
  const Tokenizer& tokenizer = golden_tokenizer();
  const std::string whole = decode_continuation(tokenizer, before, ids);
  std::string shown;
  for (size_t count = 0; count <= ids.size(); ++count) {
    const std::span<const int32_t> so_far = std::span(ids).first(count);
    const size_t certain = decodable_tokens(tokenizer, so_far);
    EXPECT_LE(count - certain, 3u);
    const std::string text = decode_continuation(tokenizer, before, so_far.first(certain));
    EXPECT_TRUE(text.starts_with(shown)) << "'" << shown << "' became '" << text << "'";
    EXPECT_TRUE(whole.starts_with(text)) << "'" << text << "' in '" << whole << "'";
    shown = text;
  }
  return shown;
}

TEST(Continuation, TextsComeOutAsTheyWere) {
  const Tokenizer& tokenizer = golden_tokenizer();
  const std::vector<int32_t> before = tokenizer.encode("[INST] Say it. [/INST]");
  for (const std::string text :
       {" Hello there, how are you?", " a  b   c ", "\n\n  1. one\n\t2. two",
        " caf\u00e9 \u20ac5 na\u00efve",
        " \U0001F600\U0001F468\u200D\U0001F469 \u4f60\u597d\uFFFD!", "", " "}) {
    std::vector<int32_t> ids = tokenizer.encode("[INST] Say it. [/INST]" + text);
    ids.erase(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(before.size()));
    EXPECT_EQ(expect_shown_bit_by_bit(before, ids), text);
  }
}

TEST(Continuation, ACharacterIsShownWhenItIsWhole) {
  const Tokenizer& tokenizer = golden_tokenizer();
  const std::vector<int32_t> before = tokenizer.encode("x");
  // U+1F600, in bytes.
  std::vector<int32_t> ids;
  for (const int32_t id : tokenizer.encode("x\U0001F600")) ids.push_back(id);
  ids.erase(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(before.size()));
  ASSERT_EQ(ids.size(), 4u) << "the tokenizer has a piece for this character";
  for (size_t count = 1; count < 4; ++count) {
    EXPECT_EQ(decodable_tokens(tokenizer, std::span(ids).first(count)), 0u);
  }
  EXPECT_EQ(decodable_tokens(tokenizer, ids), 4u);
  ids[3] = ids[0];  // three bytes that come to nothing, then another beginning
  EXPECT_EQ(decodable_tokens(tokenizer, ids), 3u);
}

// What an untrained model says: bytes and controls in any order.
TEST(Continuation, AnyTokensAreShownAsTheyDecodeTogether) {
  const Tokenizer& tokenizer = golden_tokenizer();
  const Random random(1, Purpose::data_synthesis);
  uint64_t position = 0;
  for (int round = 0; round < 300; ++round) {
    const bool mostly_bytes = round % 2 == 0;
    std::vector<int32_t> ids;
    for (int i = 0; i < 30; ++i) {
      const uint64_t bound = mostly_bytes ? 270 : static_cast<uint64_t>(tokenizer.vocab_size());
      ids.push_back(static_cast<int32_t>(random.below(bound, position++)));
    }
    expect_shown_bit_by_bit(tokenizer.encode("[/INST]"), ids);
    EXPECT_EQ(invalid_utf8(decode_continuation(tokenizer, {}, ids)), std::string_view::npos);
  }
}

}  // namespace

}  // namespace cria
