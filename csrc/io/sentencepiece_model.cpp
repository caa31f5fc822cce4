#include "sentencepiece_model.h"

#include <bit>
#include <cstdint>
#include <cstring>

#include "cria/core/error.h"

namespace cria {

namespace {

struct Malformed {};

// One field of a protobuf message: a number, or bytes.
struct ProtobufField {
  uint32_t id = 0;
  uint64_t number = 0;
  std::string_view bytes;

  bool flag() const { return number != 0; }
  int integer() const { return static_cast<int>(static_cast<int64_t>(number)); }
  float real() const { return std::bit_cast<float>(static_cast<uint32_t>(number)); }
};

class ProtobufReader {
 public:
  explicit ProtobufReader(std::string_view bytes) : rest_(bytes) {}

  bool next(ProtobufField& field) {
    if (rest_.empty()) return false;
    const uint64_t tag = varint();
    field = ProtobufField();
    field.id = static_cast<uint32_t>(tag >> 3);
    switch (tag & 7) {
      case 0:
        field.number = varint();
        break;
      case 1:
        field.number = fixed<uint64_t>();
        break;
      case 2:
        field.bytes = take(varint());
        break;
      case 5:
        field.number = fixed<uint32_t>();
        break;
      default:
        throw Malformed{};
    }
    return true;
  }

 private:
  std::string_view take(uint64_t count) {
    if (count > rest_.size()) throw Malformed{};
    const std::string_view taken = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return taken;
  }

  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<unsigned char>(take(1)[0]);
      value |= uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) return value;
    }
    throw Malformed{};
  }

  template <typename T>
  T fixed() {
    T value;
    std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
    return value;
  }

  std::string_view rest_;
};

SentencePiecePiece read_piece(std::string_view bytes) {
  SentencePiecePiece piece;
  ProtobufReader reader(bytes);
  for (ProtobufField field; reader.next(field);) {
    if (field.id == 1) piece.text = field.bytes;
    if (field.id == 2) piece.score = field.real();
    if (field.id == 3) piece.kind = static_cast<PieceKind>(field.integer());
  }
  return piece;
}

void read_trainer(std::string_view bytes, SentencePieceModel& model) {
  constexpr int kBpe = 2;  // model_type
  ProtobufReader reader(bytes);
  for (ProtobufField field; reader.next(field);) {
    if (field.id == 3) model.is_bpe = field.integer() == kBpe;
    if (field.id == 40) model.unk_id = field.integer();
    if (field.id == 41) model.bos_id = field.integer();
    if (field.id == 42) model.eos_id = field.integer();
  }
}

void read_normalizer(std::string_view bytes, SentencePieceModel& model) {
  ProtobufReader reader(bytes);
  for (ProtobufField field; reader.next(field);) {
    if (field.id == 2) model.is_identity = field.bytes.empty();  // precompiled_charsmap
    if (field.id == 3) model.add_dummy_prefix = field.flag();
    if (field.id == 4) model.remove_extra_whitespaces = field.flag();
    if (field.id == 5) model.escape_whitespaces = field.flag();
  }
}

}  // namespace

SentencePieceModel parse_sentencepiece_model(const std::string& where, std::string_view bytes) {
  SentencePieceModel model;
  try {
    ProtobufReader reader(bytes);
    for (ProtobufField field; reader.next(field);) {
      if (field.id == 1) model.pieces.push_back(read_piece(field.bytes));
      if (field.id == 2) read_trainer(field.bytes, model);
      if (field.id == 3) read_normalizer(field.bytes, model);
    }
  } catch (const Malformed&) {
    throw input_error(where, "is no SentencePiece model");
  }
  if (model.pieces.empty()) throw input_error(where, "is no SentencePiece model: it has no pieces");
  return model;
}

}  // namespace cria
