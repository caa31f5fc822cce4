#include "kernels/runtime/check.h"
#include "kernels/runtime/platform.h"

namespace cria::cuda {

namespace {

// Left to CUDA, which loads the code of kernels and of cuBLAS when they are first used.
constexpr size_t kLeftForCode = size_t{256} << 20;

class CudaMemory : public Memory {
 public:
  Device device() const override { return Device::cuda; }

  void* allocate(size_t bytes) override {
    void* data = nullptr;
    CRIA_CUDA(cudaMalloc(&data, bytes));
    CRIA_CUDA(cudaMemsetAsync(data, 0, bytes, stream()));
    return data;
  }

  // Waits for what still uses the memory. Fails only when the process ends, and the memory with it.
  void release(void* data, size_t) noexcept override { cudaFree(data); }

  size_t available() const override {
    size_t free = 0;
    size_t total = 0;
    CRIA_CUDA(cudaMemGetInfo(&free, &total));
    return free > kLeftForCode ? free - kLeftForCode : 0;
  }
};

}  // namespace

Memory& device_memory() {
  static CudaMemory memory;
  return memory;
}

DeviceAccess::DeviceAccess() = default;
DeviceAccess::~DeviceAccess() = default;

std::byte* allocate_pinned(size_t bytes) {
  void* data = nullptr;
  CRIA_CUDA(cudaMallocHost(&data, bytes));
  return static_cast<std::byte*>(data);
}

void copy_async(void* destination, const void* source, size_t bytes) {
  CRIA_CUDA(cudaMemcpyAsync(destination, source, bytes, cudaMemcpyDefault, stream()));
}

void zero_async(void* destination, size_t bytes) {
  CRIA_CUDA(cudaMemsetAsync(destination, 0, bytes, stream()));
}

}  // namespace cria::cuda
