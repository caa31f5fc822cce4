// UTF-8, as far as text needs it before it reaches the tokenizer.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

namespace cria {

// The first byte that is not part of well-formed UTF-8 (overlong forms, surrogates and code points
// above U+10FFFF are not), or npos.
size_t invalid_utf8(std::string_view text);

// How many bytes at the end are the beginning of a character whose rest is still to come: 0 to 3.
size_t unfinished_utf8(std::string_view text);

// Without white space at both ends, white space being what Python's str.strip() takes away: Meta's
// chat format is defined by it.
std::string_view strip(std::string_view text);

// What such white space separates, as str.split() gives it.
std::vector<std::string_view> split_words(std::string_view text);

}  // namespace cria
