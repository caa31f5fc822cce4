// What every op test stands on. An op test runs on each device that this build has and on both
// dtypes:
//
//   class RmsNorm : public OpTest {};
//   CRIA_OP_TEST_SUITE(RmsNorm);   // instantiates it over test_cases()
//   TEST_P(RmsNorm, Forward) {
//     const auto x = random_values(rows * columns, 1);            // doubles, exact in the dtype
//     DeviceTensor in(*this, {rows, columns}, x), out(*this, {rows, columns});
//     backend().rmsnorm_forward({.output = out.tensor(), .input = in.tensor(), ...});
//     expect_close(out, reference::rmsnorm(x, ...), tolerance("rmsnorm_forward", dtype()));
//   }
//
// Around every DeviceTensor stand canaries, which its destructor checks; an output starts as NaN
// (integers as a pattern), so that an element that the op forgot shows.
//
// On `emulated` every test runs in three orders of the threads, and what its tensors hold in the
// end must be the same bits in all of them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "cria/ops/backend.h"

namespace cria::testing {

struct OpCase {
  std::string device;
  DType dtype;
  std::string thread_order = {};  // of the emulator: forward, reverse or shuffled
};
std::vector<OpCase> test_cases();  // every device of this build x {fp32, bf16} x order
std::string case_name(const ::testing::TestParamInfo<OpCase>& info);

class OpTest : public ::testing::TestWithParam<OpCase> {
 public:
  OpTest();
  ~OpTest() override;  // compares the bits with those of the orders that ran before

  Backend& backend() const;  // one per device, made once
  DType dtype() const { return GetParam().dtype; }

 private:
  friend class DeviceTensor;
  mutable std::vector<uint64_t> final_bits_;  // a hash of every tensor, as they went
};

#define CRIA_OP_TEST_SUITE(Suite)                                                              \
  INSTANTIATE_TEST_SUITE_P(Devices, Suite, ::testing::ValuesIn(::cria::testing::test_cases()), \
                           ::cria::testing::case_name)

// A tensor on the device of the test, with canaries around it.
class DeviceTensor {
 public:
  // Output: poisoned. The dtype is the test's unless given.
  DeviceTensor(const OpTest& test, Shape shape);
  DeviceTensor(const OpTest& test, Shape shape, DType dtype);
  // Input: values are rounded to the dtype.
  DeviceTensor(const OpTest& test, Shape shape, const std::vector<double>& values);
  DeviceTensor(const OpTest& test, Shape shape, const std::vector<double>& values, DType dtype);
  DeviceTensor(const OpTest& test, Shape shape, const std::vector<int32_t>& values);
  DeviceTensor(const DeviceTensor&) = delete;
  ~DeviceTensor();

  Tensor tensor() const { return tensor_; }
  std::vector<double> values() const;
  std::vector<int32_t> integers() const;
  std::vector<uint8_t> bytes() const;  // for bitwise comparisons

 private:
  friend class Workspace;
  void place(Shape shape, DType dtype);
  const OpTest& test_;
  Backend& backend_;
  Buffer buffer_;
  Tensor tensor_;
  bool scratch_ = false;  // may end with any bits
};

// Scratch space of the size that the op asked for.
class Workspace {
 public:
  Workspace(const OpTest& test, size_t bytes);
  Tensor tensor() const { return holder_.tensor(); }

 private:
  DeviceTensor holder_;
};

// Normal values of the given scale, rounded to bf16 so that they are exact in both dtypes.
std::vector<double> random_values(int64_t count, uint64_t seed, double scale = 1.0);
// Integers in [low, high).
std::vector<int32_t> random_integers(int64_t count, int32_t low, int32_t high, uint64_t seed);

// |actual - expected| <= absolute + relative * |expected| for every element.
struct Tolerance {
  double absolute;
  double relative;
};
// The table of tests/ops/tolerances.cpp; fails the test when the op is not in it.
Tolerance tolerance(const std::string& op, DType dtype);

void expect_close(const DeviceTensor& actual, const std::vector<double>& expected, Tolerance bound);
void expect_close(const std::vector<double>& actual, const std::vector<double>& expected,
                  Tolerance bound);

// d f / d x[i] by central differences in double precision, for gradient checks of the references.
template <typename F>
double central_difference(std::vector<double> x, size_t i, const F& f, double step = 1e-5) {
  const double here = x[i];
  x[i] = here + step;
  const double above = f(x);
  x[i] = here - step;
  const double below = f(x);
  return (above - below) / (2 * step);
}

}  // namespace cria::testing
