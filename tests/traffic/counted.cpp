#include "traffic/counted.h"

namespace cria::testing {

Counted Counted::random(Shape shape, DType dtype) {
  Counted result(shape, dtype);
  const Random random(1, Purpose::data_synthesis);
  visit_dtype(dtype, [&]<typename T>() {
    std::vector<T> values(static_cast<size_t>(shape.elements()));
    for (size_t i = 0; i < values.size(); ++i) values[i] = T(0.1f * random.normal(i));
    result.fill(values.data());
  });
  return result;
}

Counted::Counted(const std::vector<int32_t>& values)
    : Counted(values, {static_cast<int64_t>(values.size())}) {}

Counted::Counted(const std::vector<int32_t>& values, Shape shape) : Counted(shape, DType::i32) {
  CRIA_ASSERT(shape.elements() == static_cast<int64_t>(values.size()));
  fill(values.data());
}

Counted::Counted(const std::vector<float>& values)
    : Counted({static_cast<int64_t>(values.size())}, DType::f32) {
  fill(values.data());
}

void Counted::fill(const void* values) {
  const emulated::DeviceAccess access;
  emulated::copy_async(tensor_.data, values, tensor_.bytes());
}

}  // namespace cria::testing
