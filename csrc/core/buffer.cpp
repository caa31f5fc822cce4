#include "cria/core/buffer.h"

#include <algorithm>
#include <fstream>
#include <utility>

#include <sys/mman.h>

namespace cria {

namespace {

constexpr size_t kAlignment = 64;  // one cache line, one AVX-512 register

size_t align_up(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

size_t meminfo_available() {
  std::ifstream file("/proc/meminfo");
  std::string key;
  size_t kibibytes = 0;
  std::string unit;
  while (file >> key >> kibibytes >> unit) {
    if (key == "MemAvailable:") return kibibytes * 1024;
  }
  return SIZE_MAX;
}

// What the control group still allows; SIZE_MAX without a limit.
size_t cgroup_available() {
  size_t limit = 0;
  size_t used = 0;
  std::ifstream limit_file("/sys/fs/cgroup/memory.max");
  std::ifstream used_file("/sys/fs/cgroup/memory.current");
  if (!(limit_file >> limit) || !(used_file >> used)) return SIZE_MAX;
  return limit > used ? limit - used : 0;
}

class HostMemory : public Memory {
 public:
  Device device() const override { return Device::cpu; }

  void* allocate(size_t bytes) override {
    void* data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data == MAP_FAILED)
      throw system_failure("memory", "cannot allocate " + format_bytes(bytes));
    madvise(data, bytes, MADV_HUGEPAGE);  // advice only: fewer page faults on large buffers
    return data;
  }

  void release(void* data, size_t bytes) noexcept override { munmap(data, bytes); }

  size_t available() const override { return std::min(meminfo_available(), cgroup_available()); }
};

}  // namespace

Memory& host_memory() {
  static HostMemory memory;
  return memory;
}

Buffer::Buffer(Memory& memory, size_t bytes) : memory_(&memory), bytes_(bytes) {
  if (bytes > 0) data_ = memory.allocate(bytes);
}

Buffer::Buffer(Buffer&& other) noexcept
    : memory_(other.memory_),
      data_(std::exchange(other.data_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(memory_, other.memory_);
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

Buffer::~Buffer() {
  if (data_) memory_->release(data_, bytes_);
}

Tensor Buffer::tensor(DType dtype, Shape shape) const {
  CRIA_ASSERT(static_cast<size_t>(shape.elements()) * size_of(dtype) <= bytes_);
  return Tensor{.data = data_, .dtype = dtype, .shape = shape, .device = memory_->device()};
}

void Arena::reserve(Tensor& tensor, const std::string& category, DType dtype, Shape shape) {
  CRIA_ASSERT(!buffer_.data());
  tensor = {.data = nullptr, .dtype = dtype, .shape = shape, .device = memory_.device()};
  reservations_.push_back({&tensor, category, dtype, shape});
}

void Arena::reserve_workspace(Tensor& tensor, size_t bytes) {
  CRIA_ASSERT(!buffer_.data());
  workspaces_.push_back(&tensor);
  workspace_bytes_ = std::max(workspace_bytes_, align_up(bytes));
}

size_t Arena::total_bytes() const {
  size_t total = workspace_bytes_;
  for (const Reservation& r : reservations_) {
    total += align_up(static_cast<size_t>(r.shape.elements()) * size_of(r.dtype));
  }
  return total;
}

void Arena::allocate() {
  const size_t total = total_bytes();
  const size_t available = memory_.available();
  if (total > available) {
    throw input_error(
        "memory",
        fmt::format("this run needs {} and {} has {} left\n{}", format_bytes(total),
                    name_of(memory_.device()), format_bytes(available), table()),
        "lower training.micro_batch_tokens, set training.recompute: block, or choose a "
        "smaller model");
  }
  buffer_ = Buffer(memory_, std::max(total, kAlignment));
  size_t offset = 0;
  const auto place = [&](DType dtype, Shape shape) {
    Tensor tensor{.data = static_cast<std::byte*>(buffer_.data()) + offset,
                  .dtype = dtype,
                  .shape = shape,
                  .device = memory_.device()};
    offset += align_up(static_cast<size_t>(shape.elements()) * size_of(dtype));
    return tensor;
  };
  for (const Reservation& r : reservations_) *r.tensor = place(r.dtype, r.shape);
  const Tensor workspace = place(DType::u8, Shape{static_cast<int64_t>(workspace_bytes_)});
  for (Tensor* tensor : workspaces_) *tensor = workspace;
}

std::string Arena::table() const {
  std::vector<std::pair<std::string, size_t>> lines;
  const auto add = [&](const std::string& category, size_t bytes) {
    const auto line = std::find_if(lines.begin(), lines.end(),
                                   [&](const auto& entry) { return entry.first == category; });
    if (line == lines.end()) {
      lines.emplace_back(category, bytes);
    } else {
      line->second += bytes;
    }
  };
  for (const Reservation& r : reservations_) {
    add(r.category, align_up(static_cast<size_t>(r.shape.elements()) * size_of(r.dtype)));
  }
  if (workspace_bytes_ > 0) add("workspace", workspace_bytes_);
  std::stable_sort(lines.begin(), lines.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  std::string text;
  for (const auto& [category, bytes] : lines) {
    text += fmt::format("  {:<16} {:>12}\n", category, format_bytes(bytes));
  }
  return text + fmt::format("  {:<16} {:>12}", "total", format_bytes(total_bytes()));
}

std::string format_bytes(size_t bytes) {
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.2f} {}", value, kUnits[unit]);
}

}  // namespace cria
