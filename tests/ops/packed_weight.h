// Weights with the packed copies that the backend wants, for tests of both ways to call an op.
#pragma once

#include <optional>

#include "ops/op_test.h"

namespace cria::testing {

class PackedWeight {
 public:
  PackedWeight(const OpTest& test, const DeviceTensor& values)
      : weight_{.values = values.tensor(),
                .packed_forward = pack(test, values, forward_, LinearUse::forward),
                .packed_backward = pack(test, values, backward_, LinearUse::backward)} {}

  const LinearWeight& weight() const { return weight_; }

 private:
  // Empty where the backend wants none.
  static Tensor pack(const OpTest& test, const DeviceTensor& values,
                     std::optional<DeviceTensor>& packed, LinearUse use) {
    const size_t bytes = test.backend().linear_packed_bytes(values.tensor(), use);
    if (bytes == 0) return {};
    packed.emplace(test, Shape{static_cast<int64_t>(bytes)}, DType::u8);
    test.backend().linear_pack({.packed = packed->tensor(), .values = values.tensor(), .use = use});
    return packed->tensor();
  }

  std::optional<DeviceTensor> forward_;
  std::optional<DeviceTensor> backward_;
  LinearWeight weight_;
};

}  // namespace cria::testing
