#include "cria/io/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <numeric>

#include "cria/core/error.h"
#include "cria/core/parallel.h"

#include "strict_json.h"

namespace cria {

static_assert(std::endian::native == std::endian::little, "safetensors data is little-endian");

namespace {

using nlohmann::json;

constexpr size_t kLengthBytes = 8;
constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the reference implementation's limit
constexpr const char* kCopyAgain = "copy or write the file again";

// One entry of the header with its place in the data.
struct Placed {
  SafetensorsTensor tensor;
  uint64_t begin;
  uint64_t end;
};

class HeaderReader {
 public:
  HeaderReader(const std::string& path, std::span<const std::byte> data)
      : path_(path), data_(data) {}

  Placed read(const std::string& name, const json& entry) {
    name_ = name;
    if (!entry.is_object()) throw error("its entry is not an object");
    Placed placed;
    placed.tensor.name = name;
    placed.tensor.dtype = read_dtype(field(entry, "dtype"));
    const uint64_t elements = read_shape(field(entry, "shape"), placed.tensor.shape);
    read_offsets(field(entry, "data_offsets"), placed.begin, placed.end);
    uint64_t bytes = 0;
    if (__builtin_mul_overflow(elements, uint64_t{size_of(placed.tensor.dtype)}, &bytes)) {
      throw error("its shape overflows");
    }
    if (placed.end - placed.begin != bytes) {
      throw error(fmt::format("{} bytes of data, but {} as {} is {} bytes",
                              placed.end - placed.begin, placed.tensor.shape.to_string(),
                              name_of(placed.tensor.dtype), bytes));
    }
    placed.tensor.data = data_.data() + placed.begin;
    placed.tensor.bytes = bytes;
    return placed;
  }

 private:
  Error error(const std::string& problem, const std::string& remedy = {}) const {
    return input_error(path_, fmt::format("tensor {}: {}", quoted(name_), problem), remedy);
  }

  const json& field(const json& entry, const char* key) const {
    const auto found = entry.find(key);
    if (found == entry.end()) throw error(fmt::format("{} is missing", key));
    return *found;
  }

  DType read_dtype(const json& value) const {
    if (value == "F32") return DType::f32;
    if (value == "F16") return DType::f16;
    if (value == "BF16") return DType::bf16;
    throw error("dtype " + quoted(value.is_string() ? value.get<std::string>() : value.dump()),
                "cria reads F32, F16 and BF16");
  }

  uint64_t read_shape(const json& value, Shape& shape) const {
    if (!value.is_array()) throw error("shape is not a list");
    if (value.size() > 4) {
      throw error(fmt::format("{} dimensions", value.size()), "cria reads up to 4");
    }
    uint64_t elements = 1;
    std::vector<int64_t> sizes;
    for (const json& size : value) {
      if (!size.is_number_unsigned() || size.get<uint64_t>() > INT64_MAX) {
        throw error("shape " + quoted(value.dump()) + " is not made of sizes");
      }
      if (__builtin_mul_overflow(elements, size.get<uint64_t>(), &elements) ||
          elements > INT64_MAX) {
        throw error("shape " + value.dump() + " overflows");
      }
      sizes.push_back(size.get<int64_t>());
    }
    switch (sizes.size()) {
      case 0:
        shape = Shape{};
        break;
      case 1:
        shape = Shape{sizes[0]};
        break;
      case 2:
        shape = Shape{sizes[0], sizes[1]};
        break;
      case 3:
        shape = Shape{sizes[0], sizes[1], sizes[2]};
        break;
      default:
        shape = Shape{sizes[0], sizes[1], sizes[2], sizes[3]};
        break;
    }
    return elements;
  }

  void read_offsets(const json& value, uint64_t& begin, uint64_t& end) const {
    if (!value.is_array() || value.size() != 2 || !value[0].is_number_unsigned() ||
        !value[1].is_number_unsigned()) {
      throw error("data_offsets is not [begin, end]");
    }
    begin = value[0];
    end = value[1];
    if (begin > end) throw error(fmt::format("data begins at {} and ends at {}", begin, end));
    if (end > data_.size()) {
      throw error(fmt::format("data ends at byte {} of {}", end, data_.size()), kCopyAgain);
    }
  }

  const std::string& path_;
  std::span<const std::byte> data_;
  std::string name_;
};

void check_metadata(const std::string& path, const json& metadata) {
  const bool strings =
      metadata.is_object() && std::all_of(metadata.begin(), metadata.end(),
                                          [](const json& value) { return value.is_string(); });
  if (!strings) throw input_error(path, "__metadata__ is not a map of strings");
}

// The data must be covered from end to end, each byte by one tensor.
void check_coverage(const std::string& path, const std::vector<Placed>& placed, uint64_t size) {
  uint64_t covered = 0;
  for (const Placed& p : placed) {
    if (p.begin != covered) {
      throw input_error(
          path, fmt::format("tensor {}: data begins at byte {}, {} byte {}", quoted(p.tensor.name),
                            p.begin,
                            p.begin < covered ? "overlapping what ends at" : "leaving a hole from",
                            covered));
    }
    covered = p.end;
  }
  if (covered != size) {
    throw input_error(path, fmt::format("{} bytes after the last tensor", size - covered));
  }
}

}  // namespace

std::vector<SafetensorsTensor> parse_safetensors(const std::string& path,
                                                 std::span<const std::byte> file) {
  if (file.size() < kLengthBytes) {
    throw input_error(path, fmt::format("{} bytes are too few for a safetensors file", file.size()),
                      kCopyAgain);
  }
  uint64_t length = 0;
  std::memcpy(&length, file.data(), kLengthBytes);
  if (length > kMaxHeaderBytes) {
    throw input_error(path, fmt::format("a header of {} bytes", length),
                      "is this a safetensors file?");
  }
  if (length > file.size() - kLengthBytes) {
    throw input_error(path,
                      fmt::format("the file is cut short: a header of {} bytes in a file of {}",
                                  length, file.size()),
                      kCopyAgain);
  }
  const std::string_view text(reinterpret_cast<const char*>(file.data()) + kLengthBytes, length);
  if (!text.starts_with('{')) throw input_error(path, "the header does not begin with '{'");
  const json header = parse_json(path, "header", text);

  const std::span<const std::byte> data = file.subspan(kLengthBytes + length);
  HeaderReader reader(path, data);
  std::vector<Placed> placed;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") {
      check_metadata(path, entry);
    } else {
      placed.push_back(reader.read(name, entry));
    }
  }
  std::sort(placed.begin(), placed.end(), [](const Placed& a, const Placed& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  check_coverage(path, placed, data.size());

  std::vector<SafetensorsTensor> tensors;
  for (Placed& p : placed) tensors.push_back(std::move(p.tensor));
  return tensors;
}

SafetensorsFile::SafetensorsFile(const std::string& path)
    : path_(path), file_(path), tensors_(parse_safetensors(path, file_.bytes())) {
  for (size_t i = 0; i < tensors_.size(); ++i) index_[tensors_[i].name] = i;
}

const SafetensorsTensor* SafetensorsFile::find(const std::string& name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &tensors_[found->second];
}

namespace {

template <typename T>
T load(const std::byte* data, int64_t index) {
  T value;
  std::memcpy(&value, data + index * static_cast<int64_t>(sizeof(T)), sizeof(T));
  return value;
}

float load_float(DType dtype, const std::byte* data, int64_t index) {
  if (dtype == DType::f16) return f16_to_f32(load<uint16_t>(data, index));
  if (dtype == DType::bf16) return load<bf16>(data, index);
  return load<float>(data, index);
}

}  // namespace

void convert_elements(const SafetensorsTensor& tensor, int64_t begin, int64_t count, DType dtype,
                      void* destination) {
  CRIA_ASSERT(begin >= 0 && count >= 0 && begin + count <= tensor.shape.elements());
  const std::byte* source = tensor.data + begin * static_cast<int64_t>(size_of(tensor.dtype));
  if (tensor.dtype == dtype) {
    std::memcpy(destination, source, static_cast<size_t>(count) * size_of(dtype));
    return;
  }
  constexpr int64_t kGrain = 1 << 14;
  visit_dtype(dtype, [&]<typename T>() {
    T* out = static_cast<T*>(destination);
    parallel_for(count, kGrain, [&](int64_t from, int64_t to) {
      for (int64_t i = from; i < to; ++i) {
        out[i] = static_cast<T>(load_float(tensor.dtype, source, i));
      }
    });
  });
}

}  // namespace cria
