// The text of tokens that continue others, and that come one at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "cria/text/tokenizer.h"

namespace cria {

// What `ids` add to the text of the tokens `before` them. Decoded alone they would lose the space
// before their first word.
std::string decode_continuation(const Tokenizer& tokenizer, std::span<const int32_t> before,
                                std::span<const int32_t> ids);

// How many of `ids` have their text already, whatever follows: all but the last few where these are
// bytes of a character whose rest is still to come.
size_t decodable_tokens(const Tokenizer& tokenizer, std::span<const int32_t> ids);

}  // namespace cria
