#include "kernels/runtime/staging.h"

#include <algorithm>
#include <cstring>

namespace cria::CRIA_GPU {

Staging& Staging::of_process() {
  static Staging& instance = *new Staging;  // goes with the process: CUDA may be gone before
  return instance;
}

Staging::Staging() {
  std::byte* data = allocate_pinned(kPieces * kPieceBytes);
  for (Piece& piece : pieces_) {
    piece.data = data;
    data += kPieceBytes;
  }
}

Staging::Piece& Staging::next() {
  Piece& piece = pieces_[next_];
  next_ = (next_ + 1) % kPieces;
  piece.copied.wait();
  return piece;
}

void Staging::to_device(void* destination, const void* source, size_t bytes) {
  for (size_t begin = 0; begin < bytes; begin += kPieceBytes) {
    const size_t count = std::min(kPieceBytes, bytes - begin);
    Piece& piece = next();
    std::memcpy(piece.data, static_cast<const std::byte*>(source) + begin, count);
    copy_async(static_cast<std::byte*>(destination) + begin, piece.data, count);
    piece.copied.record();
  }
}

void Staging::to_host(void* destination, const void* source, size_t bytes) {
  const size_t piece_count = (bytes + kPieceBytes - 1) / kPieceBytes;
  std::array<Piece*, kPieces> under_way = {};
  const auto span_of = [&](size_t index) {
    const size_t begin = index * kPieceBytes;
    return std::pair(begin, std::min(kPieceBytes, bytes - begin));
  };
  const auto start = [&](size_t index) {
    const auto [begin, count] = span_of(index);
    Piece& piece = next();
    copy_async(piece.data, static_cast<const std::byte*>(source) + begin, count);
    piece.copied.record();
    under_way[index % kPieces] = &piece;
  };
  for (size_t index = 0; index < std::min(kPieces, piece_count); ++index) start(index);
  for (size_t index = 0; index < piece_count; ++index) {
    const auto [begin, count] = span_of(index);
    Piece& piece = *under_way[index % kPieces];
    piece.copied.wait();
    std::memcpy(static_cast<std::byte*>(destination) + begin, piece.data, count);
    if (index + kPieces < piece_count) start(index + kPieces);
  }
}

}  // namespace cria::CRIA_GPU
