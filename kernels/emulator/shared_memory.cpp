// Shared memory: poisoned for every block, watched at its ends, counted against CUDA's limits.
#include <algorithm>
#include <cstring>
#include <utility>

#include "kernels/emulator/block.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

namespace cria::emulated {

namespace {

constexpr size_t kMaxStaticSharedBytes = 48 * 1024;  // of kMaxSharedBytes
constexpr size_t kRedzone = 256;                     // around the dynamic shared memory
constexpr std::align_val_t kAlignment{128};
constexpr size_t kNoSize = ~size_t{0};  // not prepared for any
constexpr unsigned char kPoison = 0xFF;
constexpr unsigned char kCanary = 0xA5;

}  // namespace

Block::~Block() {
  if (!dynamic_buffer_) return;
#ifdef __SANITIZE_ADDRESS__
  __asan_unpoison_memory_region(dynamic_buffer_, kMaxSharedBytes + 2 * kRedzone);
#endif
  ::operator delete(dynamic_buffer_, kAlignment);
}

void Block::prepare_dynamic_shared(size_t bytes) {
  if (!dynamic_buffer_) {
    dynamic_buffer_ = ::operator new(kMaxSharedBytes + 2 * kRedzone, kAlignment);
    dynamic_shared_ = static_cast<unsigned char*>(dynamic_buffer_) + kRedzone;
    dynamic_bytes_ = kNoSize;
  }
  if (bytes != dynamic_bytes_) {
    dynamic_bytes_ = bytes;
#ifdef __SANITIZE_ADDRESS__
    __asan_poison_memory_region(dynamic_buffer_, kRedzone);
    __asan_unpoison_memory_region(dynamic_shared_, kMaxSharedBytes + kRedzone);
    __asan_poison_memory_region(dynamic_shared_ + bytes, kMaxSharedBytes + kRedzone - bytes);
#else
    std::fill_n(dynamic_shared_ - kRedzone, kRedzone, kCanary);
    std::fill_n(dynamic_shared_ + bytes, kRedzone, kCanary);
#endif
  }
  std::memset(dynamic_shared_, kPoison, bytes);
}

void Block::check_dynamic_shared() {
#ifndef __SANITIZE_ADDRESS__
  const auto whole = [](const unsigned char* zone) {
    return std::all_of(zone, zone + kRedzone, [](unsigned char byte) { return byte == kCanary; });
  };
  if (whole(dynamic_shared_ - kRedzone) && whole(dynamic_shared_ + dynamic_bytes_)) return;
  const size_t bytes = std::exchange(dynamic_bytes_, kNoSize);  // new canaries for the next block
  throw error(fmt::format(
      "was the last of a block that wrote outside of its {} bytes of dynamic shared memory",
      bytes));
#endif
}

void Block::count_static_shared(size_t bytes) {
  static_bytes_ += (bytes + 15) / 16 * 16;
  if (static_bytes_ > kMaxStaticSharedBytes) {
    throw error(fmt::format("uses {} bytes of static shared memory; a block has at most {}",
                            static_bytes_, kMaxStaticSharedBytes));
  }
  if (static_bytes_ + dynamic_bytes_ > kMaxSharedBytes) {
    throw error(
        fmt::format("uses {} bytes of static beside {} of dynamic shared memory; a block "
                    "has at most {}",
                    static_bytes_, dynamic_bytes_, kMaxSharedBytes));
  }
}

namespace detail {

void enter_static_shared(void* storage, size_t bytes) {
  Block::running().count_static_shared(bytes);
  if (observer) observer->static_shared(storage, bytes);
  std::memset(storage, kPoison, bytes);
}

void refuse_static_index(int index, int elements) {
  throw Block::running().error(fmt::format(
      "reads or writes element {} of a static shared array of {} elements", index, elements));
}

void* dynamic_shared_memory() { return Block::running().dynamic_shared(); }

}  // namespace detail

}  // namespace cria::emulated
