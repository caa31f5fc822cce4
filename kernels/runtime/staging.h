// Copies between ordinary host memory and the device, through a ring of pinned pieces: the device
// copies one piece while the host fills or empties the others.
#pragma once

#include <array>
#include <cstddef>

#include "kernels/runtime/platform.h"

namespace cria::CRIA_GPU {

class Staging {
 public:
  // The process has one, as it has one stream: pinned memory is never given back.
  static Staging& of_process();

  // Queues the copy; the source may change when this returns.
  void to_device(void* destination, const void* source, size_t bytes);
  // Waits until the data is there.
  void to_host(void* destination, const void* source, size_t bytes);

 private:
  static constexpr size_t kPieceBytes = size_t{1} << 20;
  static constexpr size_t kPieces = 8;

  struct Piece {
    std::byte* data = nullptr;
    Event copied;  // the device is done with the piece
  };
  Staging();
  Piece& next();  // the one that was used longest ago, free again

  std::array<Piece, kPieces> pieces_;
  size_t next_ = 0;
};

}  // namespace cria::CRIA_GPU
