// The keys and values of every layer, kept in blocks of block_size tokens. Blocks have counted
// owners, so that sequences that begin alike can share the blocks of what they have in common:
// cached_sequence.h does that.
#pragma once

#include <cstdint>
#include <vector>

#include "cria/model/config.h"
#include "cria/ops/backend.h"

namespace cria {

class KvCache {
 public:
  KvCache(const ModelConfig& config, DType dtype, int64_t blocks, int64_t block_size);
  KvCache(const KvCache&) = delete;
  KvCache& operator=(const KvCache&) = delete;

  void reserve(Arena& arena);

  int64_t block_size() const { return block_size_; }
  int64_t block_count() const { return static_cast<int64_t>(owners_.size()); }
  int64_t free_blocks() const { return static_cast<int64_t>(free_.size()); }
  int64_t blocks_for(int64_t tokens) const { return (tokens + block_size_ - 1) / block_size_; }

  size_t bytes() const;  // of the keys and values of all layers

  int32_t owners(int32_t block) const { return owners_[static_cast<size_t>(block)]; }
  int32_t allocate();           // a free block, which has one owner then; there must be one
  void share(int32_t block);    // one owner more
  void release(int32_t block);  // one owner less; without owners the block is free
  void copy(Backend& backend, int32_t destination, int32_t source);  // in every layer

  Tensor keys(int layer) const;    // [B, n_kv_heads, block_size, D]
  Tensor values(int layer) const;  // [B, n_kv_heads, block_size, D]

 private:
  struct Layer {
    Tensor keys;
    Tensor values;
  };

  Shape shape_;
  DType dtype_;
  int64_t block_size_;
  std::vector<Layer> layers_;
  std::vector<int32_t> owners_;  // of each block
  std::vector<int32_t> free_;
};

}  // namespace cria
