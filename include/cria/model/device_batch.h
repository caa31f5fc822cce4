// A packed batch on the device: buffers planned once for at most max_tokens, filled for each batch.
#pragma once

#include "cria/data/packed_batch.h"
#include "cria/ops/backend.h"

namespace cria {

class DeviceBatch {
 public:
  explicit DeviceBatch(int64_t max_tokens) : max_tokens_(round_up_tokens(max_tokens)) {}
  DeviceBatch(const DeviceBatch&) = delete;
  DeviceBatch& operator=(const DeviceBatch&) = delete;

  void reserve(Arena& arena);
  void upload(Backend& backend, const PackedBatch& batch);

  // Of the batch uploaded last.
  int64_t tokens() const { return ids.shape[0]; }
  int max_sequence_length() const { return max_sequence_length_; }
  int64_t target_count() const { return target_count_; }  // tokens that have one
  int64_t max_tokens() const { return max_tokens_; }

  Tensor ids;               // [T] i32
  Tensor positions;         // [T] i32
  Tensor sequence_offsets;  // [S + 1] i32
  Tensor targets;           // [T] i32

 private:
  int64_t max_tokens_;
  int max_sequence_length_ = 0;
  int64_t target_count_ = 0;
  Tensor ids_all_, positions_all_, offsets_all_, targets_all_;
};

}  // namespace cria
