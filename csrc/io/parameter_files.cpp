#include "parameter_files.h"

#include <algorithm>

#include "cria/core/parallel.h"

namespace cria {

namespace {

constexpr int64_t kPiece = 1 << 22;  // elements that pass through host memory at once

// body(begin, count) over pieces of [0, elements).
template <typename Body>
void for_each_piece(int64_t elements, const Body& body) {
  for (int64_t begin = 0; begin < elements; begin += kPiece) {
    body(begin, std::min(kPiece, elements - begin));
  }
}

template <typename To, typename From>
void convert(To* destination, const From* source, int64_t count) {
  parallel_for(count, 1 << 14, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      destination[i] = static_cast<To>(static_cast<float>(source[i]));
    }
  });
}

}  // namespace

void load_tensor(const SafetensorsTensor& source, Tensor destination, Backend& backend) {
  CRIA_ASSERT(source.shape.elements() == destination.size());
  if (source.dtype == destination.dtype) {
    backend.copy_from_host(destination, source.data);
    return;
  }
  const int64_t elements = destination.size();
  const Tensor flat = destination.view({elements});
  std::vector<std::byte> host(static_cast<size_t>(std::min(kPiece, elements)) *
                              size_of(destination.dtype));
  for_each_piece(elements, [&](int64_t begin, int64_t count) {
    convert_elements(source, begin, count, destination.dtype, host.data());
    backend.copy_from_host(flat.flat(begin, count), host.data());
    backend.synchronize();  // before the piece is overwritten
  });
}

void store_tensor(Tensor source, DType storage, SafetensorsWriter& writer, Backend& backend) {
  const int64_t elements = source.size();
  const Tensor flat = source.view({elements});
  const size_t piece = static_cast<size_t>(std::min(kPiece, elements));
  std::vector<std::byte> host(piece * size_of(source.dtype));
  std::vector<std::byte> converted(storage == source.dtype ? 0 : piece * size_of(storage));
  for_each_piece(elements, [&](int64_t begin, int64_t count) {
    backend.copy_to_host(host.data(), flat.flat(begin, count));
    const std::byte* data = host.data();
    if (storage != source.dtype) {
      visit_dtype(storage, [&]<typename To>() {
        visit_dtype(source.dtype, [&]<typename From>() {
          convert(reinterpret_cast<To*>(converted.data()),
                  reinterpret_cast<const From*>(host.data()), count);
        });
      });
      data = converted.data();
    }
    writer.write(data, static_cast<size_t>(count) * size_of(storage));
  });
}

std::vector<NamedTensor> named_tensors(const ParameterSet& set, const std::string& prefix) {
  std::vector<NamedTensor> tensors;
  for (size_t block = 0; block < set.block_count(); ++block) {
    for (const ParameterTensor& tensor : set.layout().blocks()[block].tensors) {
      tensors.push_back({prefix + tensor.name, set.view(block, tensor)});
    }
  }
  return tensors;
}

}  // namespace cria
