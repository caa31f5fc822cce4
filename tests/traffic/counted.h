// Memory of the emulated device, and what launches ask of it. Each tensor is an allocation of its
// own, so that counters tell them apart.
#pragma once

#include <vector>

#include "cria/core/buffer.h"
#include "cria/core/random.h"

#include "kernels/runtime/platform.h"
#include "kernels/traffic/traffic.h"

namespace cria::testing {

class Counted {
 public:
  Counted(Shape shape, DType dtype)
      : buffer_(emulated::device_memory(), static_cast<size_t>(shape.elements()) * size_of(dtype)),
        tensor_(buffer_.tensor(dtype, shape)) {}
  // Normal values of scale 0.1.
  static Counted random(Shape shape, DType dtype);
  explicit Counted(const std::vector<int32_t>& values);
  Counted(const std::vector<int32_t>& values, Shape shape);
  explicit Counted(const std::vector<float>& values);
  explicit Counted(size_t workspace_bytes)
      : Counted({static_cast<int64_t>(workspace_bytes)}, DType::u8) {}

  operator Tensor() const { return tensor_; }
  template <typename T>
  T* data() const {
    return static_cast<T*>(buffer_.data());
  }

 private:
  void fill(const void* values);

  Buffer buffer_;
  Tensor tensor_;
};

}  // namespace cria::testing
