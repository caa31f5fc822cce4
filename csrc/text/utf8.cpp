#include "cria/text/utf8.h"

#include <algorithm>
#include <cstdint>

namespace cria {

namespace {

struct Character {
  uint32_t code = 0;
  size_t bytes = 0;  // 0: not well-formed
};

// Well-formed byte sequences: The Unicode Standard, table 3-7.
Character first_character(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  const size_t bytes = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < bytes) return {};
  uint32_t code = lead & (0x7Fu >> bytes);
  for (size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return {};
    code = code << 6 | (byte(i) & 0x3Fu);
  }
  const bool overlong = (bytes == 3 && code < 0x800) || (bytes == 4 && code < 0x10000);
  const bool surrogate = code >= 0xD800 && code <= 0xDFFF;
  if (overlong || surrogate || code > 0x10FFFF) return {};
  return {code, bytes};
}

bool is_python_space(uint32_t code) {
  return (code >= 0x09 && code <= 0x0D) || (code >= 0x1C && code <= 0x20) || code == 0x85 ||
         code == 0xA0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 ||
         code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
}

}  // namespace

size_t invalid_utf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const size_t bytes = first_character(text.substr(at)).bytes;
    if (bytes == 0) return at;
    at += bytes;
  }
  return std::string_view::npos;
}

size_t unfinished_utf8(std::string_view text) {
  for (size_t bytes = 1; bytes <= 3 && bytes <= text.size(); ++bytes) {
    const auto byte = static_cast<uint8_t>(text[text.size() - bytes]);
    if ((byte & 0xC0) == 0x80) continue;  // inside a character: its first byte is further ahead
    const size_t expected = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC2 ? 2 : 1;
    return byte <= 0xF4 && expected > bytes ? bytes : 0;
  }
  return 0;
}

std::string_view strip(std::string_view text) {
  while (!text.empty()) {
    const Character front = first_character(text);
    if (front.bytes == 0 || !is_python_space(front.code)) break;
    text.remove_prefix(front.bytes);
  }
  while (!text.empty()) {
    size_t start = text.size() - 1;
    while (start > 0 && (static_cast<uint8_t>(text[start]) & 0xC0) == 0x80) --start;
    const Character back = first_character(text.substr(start));
    if (back.bytes != text.size() - start || !is_python_space(back.code)) break;
    text.remove_suffix(back.bytes);
  }
  return text;
}

std::vector<std::string_view> split_words(std::string_view text) {
  std::vector<std::string_view> words;
  size_t start = 0;  // of the word under way
  const auto end_word = [&](size_t end) {
    if (end > start) words.push_back(text.substr(start, end - start));
  };
  for (size_t at = 0; at < text.size();) {
    const Character character = first_character(text.substr(at));
    const size_t next = at + std::max<size_t>(character.bytes, 1);
    if (character.bytes > 0 && is_python_space(character.code)) {
      end_word(at);
      start = next;
    }
    at = next;
  }
  end_word(text.size());
  return words;
}

}  // namespace cria
