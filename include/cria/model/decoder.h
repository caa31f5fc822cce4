// The transformer over a fixed number of rows R, each one token of some sequence whose earlier keys
// and values are in a KV cache. Decoding gives every sequence one row; prefill gives sequences
// several rows each, at following positions. The row count never changes, so that the bits of a row
// do not depend on how many others are in use: rows that are not are idle.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "cria/model/kv_cache.h"
#include "cria/model/model.h"

namespace cria {

// What the rows of one pass are. A new one is all idle.
struct DecoderRows {
  DecoderRows(int64_t rows, int64_t sequences, int64_t max_blocks);

  void set(int64_t row, int32_t id, int64_t position, int64_t sequence);
  void set_blocks(int64_t sequence, std::span<const int32_t> blocks);

  std::vector<int32_t> ids;              // [R]
  std::vector<int32_t> row_sequences;    // [R] row of block_tables
  std::vector<int32_t> context_lengths;  // [R] position + 1; 0: idle
  std::vector<int32_t> block_tables;     // [sequences, max_blocks]
  int64_t max_blocks;
};

// What a pass is for. Prefill ends with the keys and values of the last layer: it leaves no hidden
// states.
enum class DecoderUse { prefill, decode };

class Decoder {
 public:
  // At most `sequences` sequences a pass, each of at most max_context tokens.
  Decoder(DecoderUse use, const Model& model, const KvCache& cache, int64_t rows, int64_t sequences,
          int64_t max_context);
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  void reserve(Arena& arena);

  DecoderRows idle_rows() const { return {rows_, sequences_, max_blocks_}; }

  // Writes the rows' keys and values into the cache and, of a decode pass, leaves their hidden
  // states in `hidden`.
  void forward(const DecoderRows& rows);

  // Of the rows passed last. logits: [R, V] fp32.
  void language_head(Tensor logits) const;

  Tensor hidden;  // [R, d] after the final norm

 private:
  void layers_forward();
  void cache_forward(int index);
  void layer_forward(int index);
  void product(Tensor output, Tensor input, Tensor weight);

  DecoderUse use_;
  const Model& model_;
  const KvCache& cache_;
  int64_t rows_;
  int64_t sequences_;
  int64_t max_context_;
  int64_t max_blocks_;

  Tensor ids_, row_sequences_, context_lengths_;  // [R] i32
  Tensor block_tables_;                           // [sequences, max_blocks] i32
  Tensor residual_;                               // [R, d] residual stream
  Tensor branch_;                                 // [R, d] what a block adds to it
  Tensor normed_;                                 // [R, d]
  Tensor inverse_rms_;                            // [R] fp32
  Tensor qkv_;                                    // [R, (H + 2 H_kv) D]
  Tensor attention_mix_;                          // [R, H D]
  Tensor gate_up_;                                // [R, 2 f]
  Tensor mlp_mid_;                                // [R, f]
  Tensor workspace_;
  std::unique_ptr<Recording> recording_;  // of layers_forward
};

}  // namespace cria
