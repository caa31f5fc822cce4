// The tokenizer of a Llama model: a SentencePiece BPE model (tokenizer.model). SentencePiece and
// the protobuf it carries stay inside csrc/text.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cria {

// A token and the bytes [begin, end) of the encoded text that it stands for. Of a character that
// falls back to bytes, the last byte's token has the whole character and the others have
// begin == end at its start; the same holds for a lone dummy prefix.
struct TokenSpan {
  int32_t id = 0;
  int64_t begin = 0;
  int64_t end = 0;
};

// Encoding and decoding may be called from several threads at once.
class Tokenizer {
 public:
  // Throws an input Error when the file is missing or no SentencePiece model.
  explicit Tokenizer(const std::string& model_path);
  // From the contents of a tokenizer.model; `where` names them in errors.
  static Tokenizer from_bytes(std::string bytes, const std::string& where = "tokenizer");
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  int32_t vocab_size() const;
  // -1 where the model has none. Llama's has no pad.
  int32_t bos_id() const;
  int32_t eos_id() const;
  int32_t unk_id() const;
  int32_t pad_id() const;

  // Without bos and eos. Control pieces such as "</s>" in the text stay plain text. Text that is
  // not UTF-8 is an input Error: SentencePiece would silently put U+FFFD in its place.
  std::vector<int32_t> encode(std::string_view text) const;
  std::vector<TokenSpan> encode_spans(std::string_view text) const;

  // Control tokens decode to nothing, the dummy prefix is taken away again. Bytes that make up no
  // UTF-8 decode to U+FFFD. An id outside the vocabulary is an input Error.
  std::string decode(std::span<const int32_t> ids) const;

  const std::string& piece(int32_t id) const;  // "▁Hello", "<0x0A>", "</s>"

  const std::string& model_bytes() const;  // tokenizer.model, byte for byte

 private:
  struct Implementation;
  explicit Tokenizer(std::unique_ptr<Implementation> implementation);
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace cria
