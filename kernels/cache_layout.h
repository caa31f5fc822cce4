// Where keys and values lie in the block cache.
#pragma once

#include <initializer_list>

#include "kernels/attention_tile.h"

namespace cria::CRIA_GPU::attention {

struct CacheLayout {
  const int32_t* block_tables;
  int64_t max_blocks;
  int block_size;
  int n_kv_heads;
  int head_dim;

  __device__ int64_t element(int sequence, int position, int kv_head) const {
    const int64_t block = block_tables[sequence * max_blocks + position / block_size];
    return ((block * n_kv_heads + kv_head) * block_size + position % block_size) * head_dim;
  }
};

inline CacheLayout layout_of(const Tensor& keys, const Tensor& block_tables) {
  return {.block_tables = block_tables.as<int32_t>(),
          .max_blocks = block_tables.shape[1],
          .block_size = static_cast<int>(keys.shape[2]),
          .n_kv_heads = static_cast<int>(keys.shape[1]),
          .head_dim = static_cast<int>(keys.shape[3])};
}

// Whether rows of head_dim elements at these places can be moved in pieces of 16 bytes.
template <typename T>
bool rows_in_vectors(int64_t head_dim, std::initializer_list<const void*> pointers) {
  bool result = head_dim % (16 / static_cast<int64_t>(sizeof(T))) == 0;
  for (const void* pointer : pointers) result = result && aligned_to_vectors(pointer);
  return result;
}

}  // namespace cria::CRIA_GPU::attention
