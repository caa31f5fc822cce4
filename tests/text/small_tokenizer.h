// A tokenizer trained on the spot, for tests that need some tokenizer: its pieces hold words of
// kSmallText, and "ab", "bc" and "abc" so that merges across segment boundaries can be forced.
#pragma once

#include <sstream>
#include <string>

#include "cria/text/sentencepiece_training.h"
#include "cria/text/tokenizer.h"

namespace cria {

inline constexpr const char* kSmallText =
    "the cat sat on the mat and the dog sat on the rug\n"
    "[INST] what is the colour of the cat [/INST] the cat is black \n"
    "[INST] who sat on the mat [/INST] the cat sat on the mat \n"
    "<<SYS>> be kind and short <</SYS>> answer the question\n"
    "hello hello hello world world good good day day\n"
    "one two three four 1 2 3 4 5 6 7 8 9 0    indented    twice\n"
    "xabcx xabcx xabcx yabcy yabcy abc abc abc abc\n";

inline std::string small_tokenizer_bytes(int32_t vocab_size = 400) {
  std::istringstream lines(kSmallText);
  return train_bpe(
      {.vocab_size = vocab_size},
      [&](std::string& line) { return static_cast<bool>(std::getline(lines, line)); },
      "vocab_size");
}

inline const Tokenizer& small_tokenizer() {
  static const Tokenizer tokenizer = Tokenizer::from_bytes(small_tokenizer_bytes());
  return tokenizer;
}

}  // namespace cria
