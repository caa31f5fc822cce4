#include "kernels/runtime/memory_emulated.h"

#include <cstring>
#include <mutex>
#include <new>

#include <sys/mman.h>

#include "kernels/emulator/queue.h"
#include "kernels/runtime/platform.h"

namespace cria::emulated {

namespace {

#ifdef __SANITIZE_ADDRESS__

// From the heap, where AddressSanitizer sees what lies beyond the ends.
constexpr std::align_val_t kAlignment{64};

class Pages {
 public:
  void* map(size_t bytes) { return std::memset(::operator new(bytes, kAlignment), 0, bytes); }
  void unmap(void* data, size_t) noexcept { ::operator delete(data, kAlignment); }
  void open() {}
  void close() {}
};

#else

// Without access but while a kernel or a copy runs: host code that takes a device's memory for its
// own ends there and then, as it would on a GPU.
class Pages {
 public:
  void* map(size_t bytes) {
    const std::lock_guard lock(mutex_);
    void* data = mmap(nullptr, bytes, access(), MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data == MAP_FAILED) {
      throw system_failure("memory", "cannot allocate " + format_bytes(bytes));
    }
    regions_[data] = bytes;
    return data;
  }

  void unmap(void* data, size_t bytes) noexcept {
    const std::lock_guard lock(mutex_);
    regions_.erase(data);
    munmap(data, bytes);
  }

  void open() {
    const std::lock_guard lock(mutex_);
    if (users_++ == 0) protect();
  }

  void close() {
    const std::lock_guard lock(mutex_);
    if (--users_ == 0) protect();
  }

  std::map<void*, size_t> regions() {
    const std::lock_guard lock(mutex_);
    return regions_;
  }

 private:
  int access() const { return users_ > 0 ? PROT_READ | PROT_WRITE : PROT_NONE; }

  void protect() {
    for (const auto& [data, bytes] : regions_) CRIA_ASSERT(mprotect(data, bytes, access()) == 0);
  }

  std::mutex mutex_;
  int users_ = 0;
  std::map<void*, size_t> regions_;
};

#endif

Pages& pages() {
  static Pages& instance = *new Pages;  // buffers of static lifetime may outlive any other object
  return instance;
}

class EmulatedMemory : public Memory {
 public:
  Device device() const override { return Device::emulated; }
  void* allocate(size_t bytes) override { return pages().map(bytes); }
  void release(void* data, size_t bytes) noexcept override { pages().unmap(data, bytes); }
  size_t available() const override { return host_memory().available(); }
};

}  // namespace

Memory& device_memory() {
  static EmulatedMemory& memory = *new EmulatedMemory;
  return memory;
}

#ifndef __SANITIZE_ADDRESS__
std::map<void*, size_t> device_regions() { return pages().regions(); }
#endif

DeviceAccess::DeviceAccess() { pages().open(); }
DeviceAccess::~DeviceAccess() { pages().close(); }

std::byte* allocate_pinned(size_t bytes) {
  return static_cast<std::byte*>(host_memory().allocate(bytes));
}

void copy_async(void* destination, const void* source, size_t bytes) {
  enqueue([=] { std::memmove(destination, source, bytes); });
}

void zero_async(void* destination, size_t bytes) {
  enqueue([=] { std::memset(destination, 0, bytes); });
}

}  // namespace cria::emulated
