// A packed batch on the device: buffers planned once for at most max_tokens, filled for each batch.
#pragma once

#include <span>

#include "cria/data/packed_batch.h"
#include "cria/ops/backend.h"

namespace cria {

class DeviceBatch {
 public:
  explicit DeviceBatch(int64_t max_tokens) : max_tokens_(round_up_tokens(max_tokens)) {}
  DeviceBatch(const DeviceBatch&) = delete;
  DeviceBatch& operator=(const DeviceBatch&) = delete;

  void reserve(Arena& arena);
  // `read`: the rows of which a head reads the hidden states, in any order; none: all. The last
  // block then computes no others after its attention, but for some that make up a multiple of 128.
  // The hidden states of the rest are 0.
  void upload(Backend& backend, const PackedBatch& batch, std::span<const int32_t> read = {});

  // Of the batch uploaded last.
  int64_t tokens() const { return ids.shape[0]; }
  int max_sequence_length() const { return max_sequence_length_; }
  int64_t target_count() const { return target_count_; }  // tokens that have one
  int64_t max_tokens() const { return max_tokens_; }
  bool keeps_all() const { return !kept; }
  int64_t kept_tokens() const { return keeps_all() ? tokens() : kept.shape[0]; }

  Tensor ids;               // [T] i32
  Tensor positions;         // [T] i32
  Tensor sequence_offsets;  // [S + 1] i32
  Tensor targets;           // [T] i32
  Tensor kept;              // [K] i32, ascending: the rows that the last block keeps; empty: all
  Tensor kept_places;       // [T] i32: where each row is in `kept`, K for those that are not

 private:
  int64_t max_tokens_;
  int max_sequence_length_ = 0;
  int64_t target_count_ = 0;
  Tensor ids_all_, positions_all_, offsets_all_, targets_all_, kept_all_, kept_places_all_;
};

}  // namespace cria
