#include "cria/core/tensor.h"

namespace cria {

std::string_view name_of(Device device) {
  switch (device) {
    case Device::cpu:
      return "cpu";
    case Device::cuda:
      return "cuda";
    case Device::emulated:
      return "emulated";
  }
  return "?";
}

Shape::Shape(std::initializer_list<int64_t> sizes) {
  CRIA_ASSERT(sizes.size() <= sizes_.size());
  for (const int64_t size : sizes) {
    CRIA_ASSERT(size >= 0);
    sizes_[static_cast<size_t>(rank_++)] = size;
  }
}

int64_t Shape::operator[](int dimension) const {
  const int index = dimension < 0 ? dimension + rank_ : dimension;
  CRIA_ASSERT(index >= 0 && index < rank_);
  return sizes_[static_cast<size_t>(index)];
}

int64_t Shape::elements() const {
  int64_t product = 1;
  for (int i = 0; i < rank_; ++i) product *= sizes_[static_cast<size_t>(i)];
  return product;
}

std::string Shape::to_string() const {
  std::string text = "[";
  for (int i = 0; i < rank_; ++i) {
    text += fmt::format("{}{}", i ? ", " : "", sizes_[static_cast<size_t>(i)]);
  }
  return text + "]";
}

Tensor Tensor::view(Shape other) const {
  CRIA_ASSERT(other.elements() == shape.elements());
  Tensor result = *this;
  result.shape = other;
  return result;
}

Tensor Tensor::rows(int64_t begin, int64_t count) const {
  CRIA_ASSERT(shape.rank() == 1 || shape.rank() == 2);
  CRIA_ASSERT(begin >= 0 && count >= 0 && begin + count <= shape[0]);
  const int64_t row_elements = shape.rank() == 2 ? shape[1] : 1;
  Tensor result = flat(begin * row_elements, count * row_elements);
  result.shape = shape.rank() == 2 ? Shape{count, row_elements} : Shape{count};
  return result;
}

Tensor Tensor::flat(int64_t begin, int64_t count) const {
  CRIA_ASSERT(begin >= 0 && count >= 0 && begin + count <= shape.elements());
  Tensor result = *this;
  if (data) {
    result.data = static_cast<std::byte*>(data) + static_cast<size_t>(begin) * size_of(dtype);
  }
  result.shape = Shape{count};
  return result;
}

}  // namespace cria
