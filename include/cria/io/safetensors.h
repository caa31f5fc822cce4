// The safetensors format: 8 bytes little-endian header length N, N bytes of JSON
//   {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [begin, end]}, …},
// then the data, row-major and little-endian, without holes or overlaps.
// Specification: https://github.com/huggingface/safetensors#format
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "cria/core/tensor.h"
#include "cria/io/file.h"

namespace cria {

struct SafetensorsTensor {
  std::string name;
  DType dtype = DType::f32;  // f32, f16 or bf16
  Shape shape;
  const std::byte* data = nullptr;  // not aligned in general: copy before reading as numbers
  size_t bytes = 0;
};

// The tensors of a file that is in memory, in the order of their data. Every malformed header is an
// input Error that names `path` and the tensor.
std::vector<SafetensorsTensor> parse_safetensors(const std::string& path,
                                                 std::span<const std::byte> file);

// A file mapped into memory; the tensors point into it.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::string& path);

  const std::string& path() const { return path_; }
  const std::vector<SafetensorsTensor>& tensors() const { return tensors_; }
  const SafetensorsTensor* find(const std::string& name) const;  // nullptr when it is not there

 private:
  std::string path_;
  MappedFile file_;
  std::vector<SafetensorsTensor> tensors_;
  std::unordered_map<std::string, size_t> index_;
};

struct SafetensorsEntry {
  std::string name;
  DType dtype;
  Shape shape;

  size_t bytes() const { return static_cast<size_t>(shape.elements()) * size_of(dtype); }
};

// Streams a file: the header first, then the data of all entries in the given order, in pieces of
// any size. The same entries and data give the same bytes. Names must differ.
class SafetensorsWriter {
 public:
  SafetensorsWriter(const std::string& path, const std::vector<SafetensorsEntry>& entries);

  void write(const void* data, size_t bytes);
  void finish();  // all data must have been written; closes the file

 private:
  OutputFile file_;
  size_t remaining_ = 0;
};

// Copies elements [begin, begin + count) of a tensor to host memory as f32 or bf16. Exact, but for
// f32 and f16 to bf16, which round to nearest even.
void convert_elements(const SafetensorsTensor& tensor, int64_t begin, int64_t count, DType dtype,
                      void* destination);

}  // namespace cria
