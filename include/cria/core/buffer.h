// Owners of memory. A Buffer owns one allocation; an Arena plans many named tensors first and then
// places them all in one Buffer, so that nothing allocates inside a step and a run can print what
// it needs, or refuse with the figures, before it starts.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "cria/core/tensor.h"

namespace cria {

// Where buffers come from: host memory here, device memory in the CUDA backend.
class Memory {
 public:
  virtual ~Memory() = default;
  virtual Device device() const = 0;
  virtual void* allocate(size_t bytes) = 0;  // 64-byte aligned, zeroed; throws Error when it cannot
  virtual void release(void* data, size_t bytes) noexcept = 0;
  virtual size_t available() const = 0;  // bytes that can still be had
};

// Zeroed pages of the host. available() is what the kernel (and a cgroup limit, where set) still
// has.
Memory& host_memory();

class Buffer {
 public:
  Buffer() = default;
  Buffer(Memory& memory, size_t bytes);
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  ~Buffer();

  void* data() const { return data_; }
  size_t bytes() const { return bytes_; }
  Tensor tensor(DType dtype, Shape shape) const;  // the front of the buffer seen as a tensor

 private:
  Memory* memory_ = nullptr;
  void* data_ = nullptr;
  size_t bytes_ = 0;
};

// Two phases. reserve() notes tensors under a category and gives them their shape; allocate()
// places them and fills in where they are, so the Tensor objects passed by reference must stay
// where they are in between.
class Arena {
 public:
  explicit Arena(Memory& memory) : memory_(memory) {}
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // `category`: parameters, gradients, optimizer, activations, KV cache, …: a line of the printed
  // table.
  void reserve(Tensor& tensor, const std::string& category, DType dtype, Shape shape);
  // Scratch space that ops use one after the other: all requests share one region, as large as the
  // largest.
  void reserve_workspace(Tensor& tensor, size_t bytes);

  // Throws an Error with the table when the total exceeds what the memory has available.
  void allocate();

  size_t total_bytes() const;
  std::string table() const;  // one line per category, largest tensors first, and the total

 private:
  struct Reservation {
    Tensor* tensor;
    std::string category;
    DType dtype;
    Shape shape;
  };

  Memory& memory_;
  std::vector<Reservation> reservations_;
  std::vector<Tensor*> workspaces_;
  size_t workspace_bytes_ = 0;
  Buffer buffer_;
};

std::string format_bytes(size_t bytes);  // "1.50 GiB"

}  // namespace cria
