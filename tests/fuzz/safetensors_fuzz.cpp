// Any bytes at all: either a clear Error, or tensors that lie within the file.
#include <cstdint>
#include <cstdlib>

#include "cria/core/error.h"
#include "cria/io/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const auto file = std::as_bytes(std::span(data, size));
    for (const cria::SafetensorsTensor& tensor : cria::parse_safetensors("fuzz", file)) {
      const size_t elements = static_cast<size_t>(tensor.shape.elements());
      if (tensor.data < file.data() || tensor.bytes != elements * cria::size_of(tensor.dtype) ||
          tensor.bytes > static_cast<size_t>(file.data() + size - tensor.data)) {
        std::abort();
      }
    }
  } catch (const cria::Error&) {
  }
  return 0;
}
