#include <cstring>

#include "cria/core/parallel.h"

#include "cpu_ops.h"
#include "vector_math.h"

namespace cria::cpu {

namespace {

// Below this a second thread costs more than it saves.
constexpr int64_t kBytesPerThread = 1 << 18;

void copy_bytes(void* destination, const void* source, size_t bytes) {
  parallel_for(static_cast<int64_t>(bytes), kBytesPerThread, [&](int64_t begin, int64_t end) {
    std::memcpy(static_cast<std::byte*>(destination) + begin,
                static_cast<const std::byte*>(source) + begin, static_cast<size_t>(end - begin));
  });
}

}  // namespace

void copy_from_host(Tensor destination, const void* source) {
  copy_bytes(destination.data, source, destination.bytes());
}

void copy_to_host(void* destination, Tensor source) {
  copy_bytes(destination, source.data, source.bytes());
}

void copy(Tensor destination, Tensor source) {
  CRIA_ASSERT(destination.dtype == source.dtype && destination.size() == source.size());
  copy_bytes(destination.data, source.data, source.bytes());
}

void cast(Tensor destination, Tensor source) {
  CRIA_ASSERT(destination.size() == source.size());
  if (destination.dtype == source.dtype) return copy(destination, source);
  const bool widen = source.dtype == DType::bf16;
  parallel_for(source.size(), kBytesPerThread / 4, [&](int64_t begin, int64_t end) {
    if (widen) {
      load_row(destination.as<float>() + begin, source.as<bf16>() + begin, end - begin);
    } else {
      store_row(destination.as<bf16>() + begin, source.as<float>() + begin, end - begin);
    }
  });
}

void zero(Tensor destination) {
  parallel_for(static_cast<int64_t>(destination.bytes()), kBytesPerThread,
               [&](int64_t begin, int64_t end) {
                 std::memset(static_cast<std::byte*>(destination.data) + begin, 0,
                             static_cast<size_t>(end - begin));
               });
}

}  // namespace cria::cpu
