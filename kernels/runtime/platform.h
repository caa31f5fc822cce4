// What the runtime needs of the device beneath it: CUDA's runtime in platform_cuda.cpp and
// memory_cuda.cpp, the host in platform_emulated.cpp and memory_emulated.cpp.
//
// A process uses one device and queues all its work on one stream, so that ops run in the order of
// the calls whichever backend object they went through.
#pragma once

#include <cstddef>
#include <string>

#include "cria/core/buffer.h"

#include "kernels/device/device.h"

namespace cria::CRIA_GPU {

Device device();
std::string device_description();
Stream stream();

// Memory on the device. The host must not touch it; where the device is the host (emulated), it
// cannot: pages are mapped without access but while a DeviceAccess lives.
Memory& device_memory();
class DeviceAccess {
 public:
  DeviceAccess();
  ~DeviceAccess();
  DeviceAccess(const DeviceAccess&) = delete;
};

// Host memory that the device copies from and to by itself. Lives as long as the process.
std::byte* allocate_pinned(size_t bytes);

// Queued; host memory must be pinned.
void copy_async(void* destination, const void* source, size_t bytes);
void zero_async(void* destination, size_t bytes);

// Until everything queued has run. Throws what went wrong in it.
void synchronize();

// A point in the queue.
class Event {
 public:
  Event();
  ~Event();
  Event(const Event&) = delete;
  void record();
  void wait();  // until the work before the recorded point has run; at once when never recorded

 private:
  void* handle_ = nullptr;
};

}  // namespace cria::CRIA_GPU
