#include "cria/text/continuation.h"

#include <charconv>
#include <optional>
#include <vector>

#include "cria/text/utf8.h"

namespace cria {

namespace {

// The byte of a piece such as "<0x0A>".
std::optional<char> byte_of(const std::string& piece) {
  if (piece.size() != 6 || !piece.starts_with("<0x") || piece.back() != '>') return std::nullopt;
  int byte = 0;
  const char* end = piece.data() + 5;
  if (std::from_chars(piece.data() + 3, end, byte, 16).ptr != end) return std::nullopt;
  return static_cast<char>(byte);
}

}  // namespace

std::string decode_continuation(const Tokenizer& tokenizer, std::span<const int32_t> before,
                                std::span<const int32_t> ids) {
  std::vector<int32_t> all(before.begin(), before.end());
  all.insert(all.end(), ids.begin(), ids.end());
  const std::string front = tokenizer.decode(before);
  const std::string whole = tokenizer.decode(all);
  return whole.starts_with(front) ? whole.substr(front.size()) : tokenizer.decode(ids);
}

size_t decodable_tokens(const Tokenizer& tokenizer, std::span<const int32_t> ids) {
  std::string bytes;  // at most the last three tokens', for a fourth would end any character
  for (size_t i = ids.size(); i > 0 && bytes.size() < 3; --i) {
    const std::optional<char> byte = byte_of(tokenizer.piece(ids[i - 1]));
    if (!byte) break;
    bytes.insert(bytes.begin(), *byte);
  }
  return ids.size() - unfinished_utf8(bytes);
}

}  // namespace cria
