// Tensor: a non-owning, contiguous, row-major view of memory on some device. Copy it freely; a
// Buffer or an Arena owns what it points to. An empty tensor (no data) stands for "not asked for"
// in args structs.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>

#include "cria/core/dtype.h"

namespace cria {

enum class Device { cpu, cuda, emulated };
std::string_view name_of(Device device);

// Up to four dimensions.
class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<int64_t> sizes);

  int rank() const { return rank_; }
  int64_t operator[](int dimension) const;  // negative counts from the end
  int64_t elements() const;                 // 1 for rank 0
  bool operator==(const Shape&) const = default;
  std::string to_string() const;  // "[128, 288]"

 private:
  std::array<int64_t, 4> sizes_ = {};
  int rank_ = 0;
};

struct Tensor {
  void* data = nullptr;
  DType dtype = DType::f32;
  Shape shape;
  Device device = Device::cpu;

  explicit operator bool() const { return data != nullptr; }
  int64_t size() const { return data ? shape.elements() : 0; }  // elements
  size_t bytes() const { return static_cast<size_t>(size()) * size_of(dtype); }

  template <typename T>
  T* as() const {
    CRIA_ASSERT(dtype == dtype_of<T>());
    return static_cast<T*>(data);
  }

  // Views of the same memory: other dimensions, or rows [begin, begin + count) of the first
  // dimension.
  Tensor view(Shape other) const;
  Tensor rows(int64_t begin, int64_t count) const;
  Tensor flat(int64_t begin,
              int64_t count) const;  // elements [begin, begin + count) as one dimension
};

// A view of host memory, for small inputs such as ids.
template <typename T>
Tensor host_tensor(T* data, Shape shape) {
  return Tensor{.data = data, .dtype = dtype_of<T>(), .shape = shape, .device = Device::cpu};
}

}  // namespace cria
