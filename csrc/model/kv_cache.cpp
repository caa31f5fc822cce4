#include "cria/model/kv_cache.h"

namespace cria {

KvCache::KvCache(const ModelConfig& config, DType dtype, int64_t blocks, int64_t block_size)
    : shape_{blocks, config.num_key_value_heads, block_size, config.head_dim},
      dtype_(dtype),
      block_size_(block_size),
      layers_(static_cast<size_t>(config.num_hidden_layers)),
      owners_(static_cast<size_t>(blocks), 0) {
  for (int64_t block = blocks - 1; block >= 0; --block) {
    free_.push_back(static_cast<int32_t>(block));
  }
}

void KvCache::reserve(Arena& arena) {
  for (Layer& layer : layers_) {
    arena.reserve(layer.keys, "KV cache", dtype_, shape_);
    arena.reserve(layer.values, "KV cache", dtype_, shape_);
  }
}

size_t KvCache::bytes() const {
  return 2 * layers_.size() * static_cast<size_t>(shape_.elements()) * size_of(dtype_);
}

int32_t KvCache::allocate() {
  CRIA_ASSERT(!free_.empty());
  const int32_t block = free_.back();
  free_.pop_back();
  owners_[static_cast<size_t>(block)] = 1;
  return block;
}

void KvCache::share(int32_t block) {
  CRIA_ASSERT(owners_[static_cast<size_t>(block)] > 0);
  ++owners_[static_cast<size_t>(block)];
}

void KvCache::release(int32_t block) {
  int32_t& owners = owners_[static_cast<size_t>(block)];
  CRIA_ASSERT(owners > 0);
  if (--owners == 0) free_.push_back(block);
}

void KvCache::copy(Backend& backend, int32_t destination, int32_t source) {
  const int64_t elements = shape_.elements() / shape_[0];
  for (const Layer& layer : layers_) {
    for (const Tensor& tensor : {layer.keys, layer.values}) {
      backend.copy(tensor.flat(destination * elements, elements),
                   tensor.flat(source * elements, elements));
    }
  }
}

Tensor KvCache::keys(int layer) const { return layers_[static_cast<size_t>(layer)].keys; }

Tensor KvCache::values(int layer) const { return layers_[static_cast<size_t>(layer)].values; }

}  // namespace cria
