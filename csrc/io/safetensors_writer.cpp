#include "cria/core/error.h"
#include "cria/io/safetensors.h"

#include "strict_json.h"

namespace cria {

namespace {

const char* format_name(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return "F32";
    case DType::bf16:
      return "BF16";
    case DType::f16:
      return "F16";
    case DType::i32:
    case DType::u8:
      break;
  }
  throw failure("safetensors", fmt::format("cria stores no tensors of {}", name_of(dtype)));
}

}  // namespace

SafetensorsWriter::SafetensorsWriter(const std::string& path,
                                     const std::vector<SafetensorsEntry>& entries)
    : file_(path) {
  nlohmann::ordered_json header = {{"__metadata__", {{"format", "pt"}}}};
  for (const SafetensorsEntry& entry : entries) {
    CRIA_ASSERT(!header.contains(entry.name));
    nlohmann::ordered_json shape = nlohmann::ordered_json::array();
    for (int i = 0; i < entry.shape.rank(); ++i) shape.push_back(entry.shape[i]);
    header[entry.name] = {{"dtype", format_name(entry.dtype)},
                          {"shape", shape},
                          {"data_offsets", {remaining_, remaining_ + entry.bytes()}}};
    remaining_ += entry.bytes();
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');  // so that the data begins aligned
  const uint64_t length = text.size();
  file_.write(&length, sizeof(length));
  file_.write(text.data(), text.size());
}

void SafetensorsWriter::write(const void* data, size_t bytes) {
  CRIA_ASSERT(bytes <= remaining_);
  file_.write(data, bytes);
  remaining_ -= bytes;
}

void SafetensorsWriter::finish() {
  CRIA_ASSERT(remaining_ == 0);
  file_.close();
}

}  // namespace cria
