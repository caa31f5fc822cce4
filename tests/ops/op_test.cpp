#include "ops/op_test.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <map>

#include "cria/core/random.h"

#include "support/places.h"

#ifdef CRIA_HAS_EMULATOR
#include "kernels/emulator/thread_order.h"
#endif
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

namespace cria::testing {

namespace {

constexpr size_t kCanaryBytes = 256;  // a multiple of the alignment, on either side
constexpr uint8_t kCanary = 0x41;     // who reads it shows too: 12 as a number, far out as an index

std::vector<uint8_t> encode(const std::vector<double>& values, DType dtype) {
  std::vector<uint8_t> bytes(values.size() * size_of(dtype));
  visit_dtype(dtype, [&]<typename T>() {
    for (size_t i = 0; i < values.size(); ++i) {
      const T value(static_cast<float>(values[i]));
      std::memcpy(bytes.data() + i * sizeof(T), &value, sizeof(T));
    }
  });
  return bytes;
}

// AddressSanitizer stops at the first access to a canary, be it a read.
void close_canaries([[maybe_unused]] const Tensor& tensor) {
#ifdef __SANITIZE_ADDRESS__
  if (tensor.device == Device::cuda) return;
  ASAN_POISON_MEMORY_REGION(static_cast<uint8_t*>(tensor.data) - kCanaryBytes, kCanaryBytes);
  ASAN_POISON_MEMORY_REGION(static_cast<uint8_t*>(tensor.data) + tensor.bytes(), kCanaryBytes);
#endif
}

void open_canaries([[maybe_unused]] const Buffer& buffer) {
#ifdef __SANITIZE_ADDRESS__
  ASAN_UNPOISON_MEMORY_REGION(buffer.data(), buffer.bytes());
#endif
}

uint64_t hash_of(const uint8_t* bytes, size_t count) {  // FNV-1a
  uint64_t hash = 0xcbf29ce484222325u;
  for (size_t i = 0; i < count; ++i) hash = (hash ^ bytes[i]) * 0x100000001b3u;
  return hash;
}

#ifdef CRIA_HAS_EMULATOR
emulated::ThreadOrder order_before_tests() {
  static const emulated::ThreadOrder order = emulated::thread_order();
  return order;
}
#endif

}  // namespace

std::vector<OpCase> test_cases() {
  std::vector<OpCase> cases;
  const std::string only = environment_or("CRIA_TEST_DEVICE", "");
  for (const std::string& device : usable_devices()) {
    if (!only.empty() && device != only) continue;
    for (const DType dtype : {DType::f32, DType::bf16}) {
      if (device != "emulated") {
        cases.push_back({device, dtype});
        continue;
      }
      for (const char* order : {"forward", "reverse", "shuffled"}) {
        cases.push_back({device, dtype, order});
      }
    }
  }
  return cases;
}

std::string case_name(const ::testing::TestParamInfo<OpCase>& info) {
  const std::string& order = info.param.thread_order;
  return info.param.device + "_" + std::string(name_of(info.param.dtype)) +
         (order.empty() ? "" : "_" + order);
}

OpTest::OpTest() {
#ifdef CRIA_HAS_EMULATOR
  order_before_tests();
  const std::string& order = GetParam().thread_order;
  if (!order.empty()) {
    emulated::set_thread_order(
        emulated::parse_thread_order(order == "shuffled" ? "shuffled:1" : order));
  }
#endif
}

OpTest::~OpTest() {
  if (GetParam().thread_order.empty()) return;
#ifdef CRIA_HAS_EMULATOR
  emulated::set_thread_order(order_before_tests());
#endif
  struct Before {
    std::string order;
    std::vector<uint64_t> bits;
  };
  static std::map<std::string, Before> first_runs;
  const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
  const std::string name = info->name();
  const std::string key = info->test_suite_name() + ("." + name.substr(0, name.find('/'))) + "/" +
                          std::string(name_of(dtype()));
  const auto [before, is_first] =
      first_runs.try_emplace(key, Before{GetParam().thread_order, final_bits_});
  if (!is_first && before->second.bits != final_bits_) {
    ADD_FAILURE() << "not the bits that came out with the threads in the order "
                  << before->second.order;
  }
}

Backend& OpTest::backend() const {
  static std::map<std::string, std::unique_ptr<Backend>> backends;
  std::unique_ptr<Backend>& backend = backends[GetParam().device];
  if (!backend) backend = make_backend(GetParam().device);
  return *backend;
}

DeviceTensor::DeviceTensor(const OpTest& test, Shape shape)
    : DeviceTensor(test, shape, test.dtype()) {}

DeviceTensor::DeviceTensor(const OpTest& test, Shape shape, DType dtype)
    : test_(test), backend_(test.backend()) {
  place(shape, dtype);
  // All bits set: NaN in fp32 and bf16, -1 in i32.
  const std::vector<uint8_t> poison(tensor_.bytes(), 0xFF);
  backend_.copy_from_host(tensor_, poison.data());
}

DeviceTensor::DeviceTensor(const OpTest& test, Shape shape, const std::vector<double>& values)
    : DeviceTensor(test, shape, values, test.dtype()) {}

DeviceTensor::DeviceTensor(const OpTest& test, Shape shape, const std::vector<double>& values,
                           DType dtype)
    : test_(test), backend_(test.backend()) {
  place(shape, dtype);
  CRIA_ASSERT(static_cast<int64_t>(values.size()) == shape.elements());
  backend_.copy_from_host(tensor_, encode(values, dtype).data());
}

DeviceTensor::DeviceTensor(const OpTest& test, Shape shape, const std::vector<int32_t>& values)
    : test_(test), backend_(test.backend()) {
  place(shape, DType::i32);
  CRIA_ASSERT(static_cast<int64_t>(values.size()) == shape.elements());
  backend_.copy_from_host(tensor_, values.data());
}

void DeviceTensor::place(Shape shape, DType dtype) {
  const size_t bytes = static_cast<size_t>(shape.elements()) * size_of(dtype);
  buffer_ = Buffer(backend_.memory(), bytes + 2 * kCanaryBytes);
  const Tensor whole = buffer_.tensor(DType::u8, Shape{static_cast<int64_t>(buffer_.bytes())});
  const std::vector<uint8_t> canaries(buffer_.bytes(), kCanary);
  backend_.copy_from_host(whole, canaries.data());
  tensor_ = whole;
  tensor_.data = static_cast<uint8_t*>(buffer_.data()) + kCanaryBytes;
  tensor_.dtype = dtype;
  tensor_.shape = shape;
  close_canaries(tensor_);
}

DeviceTensor::~DeviceTensor() {
  open_canaries(buffer_);
  std::vector<uint8_t> all(buffer_.bytes());
  backend_.copy_to_host(all.data(),
                        buffer_.tensor(DType::u8, Shape{static_cast<int64_t>(buffer_.bytes())}));
  const size_t end = kCanaryBytes + tensor_.bytes();
  if (!scratch_) {
    test_.final_bits_.push_back(hash_of(all.data() + kCanaryBytes, tensor_.bytes()));
  }
  for (size_t i = 0; i < all.size(); ++i) {
    if (i >= kCanaryBytes && i < end) continue;
    if (all[i] != kCanary) {
      ADD_FAILURE() << "byte " << static_cast<int64_t>(i) - static_cast<int64_t>(kCanaryBytes)
                    << " outside a tensor of " << tensor_.bytes() << " bytes was written";
      return;
    }
  }
}

std::vector<double> DeviceTensor::values() const {
  const std::vector<uint8_t> raw = bytes();
  std::vector<double> result(static_cast<size_t>(tensor_.size()));
  visit_dtype(tensor_.dtype, [&]<typename T>() {
    for (size_t i = 0; i < result.size(); ++i) {
      T value;
      std::memcpy(&value, raw.data() + i * sizeof(T), sizeof(T));
      result[i] = static_cast<double>(static_cast<float>(value));
    }
  });
  return result;
}

std::vector<int32_t> DeviceTensor::integers() const {
  std::vector<int32_t> result(static_cast<size_t>(tensor_.size()));
  CRIA_ASSERT(tensor_.dtype == DType::i32);
  backend_.copy_to_host(result.data(), tensor_);
  return result;
}

std::vector<uint8_t> DeviceTensor::bytes() const {
  std::vector<uint8_t> raw(tensor_.bytes());
  backend_.copy_to_host(raw.data(), tensor_);
  return raw;
}

Workspace::Workspace(const OpTest& test, size_t bytes)
    : holder_(test, Shape{static_cast<int64_t>(bytes)}, DType::u8) {
  holder_.scratch_ = true;
}

std::vector<double> random_values(int64_t count, uint64_t seed, double scale) {
  const Random random(seed, Purpose::data_synthesis);
  std::vector<double> values(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(bf16(static_cast<float>(scale * random.normal(i))));
  }
  return values;
}

std::vector<int32_t> random_integers(int64_t count, int32_t low, int32_t high, uint64_t seed) {
  const Random random(seed, Purpose::data_synthesis, 1);
  std::vector<int32_t> values(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = low + static_cast<int32_t>(random.below(static_cast<uint64_t>(high - low), i));
  }
  return values;
}

void expect_close(const DeviceTensor& actual, const std::vector<double>& expected,
                  Tolerance bound) {
  expect_close(actual.values(), expected, bound);
}

void expect_close(const std::vector<double>& actual, const std::vector<double>& expected,
                  Tolerance bound) {
  ASSERT_EQ(actual.size(), expected.size());
  int64_t bad = 0;
  size_t worst = 0;
  double worst_excess = 0;
  for (size_t i = 0; i < actual.size(); ++i) {
    const double error = std::abs(actual[i] - expected[i]);
    const double allowed = bound.absolute + bound.relative * std::abs(expected[i]);
    if (error <= allowed) continue;  // false for NaN
    ++bad;
    const double excess =
        std::isnan(error) ? std::numeric_limits<double>::infinity() : error - allowed;
    if (excess > worst_excess) {
      worst_excess = excess;
      worst = i;
    }
  }
  if (bad > 0) {
    ADD_FAILURE() << bad << " of " << actual.size() << " elements differ; worst at " << worst
                  << ": " << actual[worst] << " instead of " << expected[worst] << ", allowed "
                  << bound.absolute + bound.relative * std::abs(expected[worst]);
  }
}

}  // namespace cria::testing
