// What tokenizer.model says about its pieces, read from the protobuf wire format: SentencePiece's
// own interface hides the kinds of pieces and the normaliser.
// Fields: https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace cria {

enum class PieceKind {
  normal = 1,
  unknown = 2,
  control = 3,
  user_defined = 4,
  unused = 5,
  byte = 6
};

struct SentencePiecePiece {
  std::string text;
  float score = 0;
  PieceKind kind = PieceKind::normal;
};

struct SentencePieceModel {
  std::vector<SentencePiecePiece> pieces;  // by id
  bool is_bpe = false;
  int unk_id = 0;
  int bos_id = 1;
  int eos_id = 2;
  bool is_identity = true;  // text is not normalised
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;
  bool escape_whitespaces = true;  // a space becomes U+2581
};

// An input Error naming `where` when the bytes are no such model.
SentencePieceModel parse_sentencepiece_model(const std::string& where, std::string_view bytes);

}  // namespace cria
