// The tokens of one sequence in the KV cache: their ids, and the blocks that hold their keys and
// values. The blocks are given back when the sequence goes, whichever way.
//
// Sequences that begin alike share blocks. A block has one writer at most: the last, partly filled
// one is copied before a sequence writes to it that does not own it alone.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "cria/model/kv_cache.h"

namespace cria {

class CachedSequence {
 public:
  explicit CachedSequence(KvCache& cache) : cache_(&cache) {}
  CachedSequence(CachedSequence&& other) noexcept;
  CachedSequence& operator=(CachedSequence&& other) noexcept;
  ~CachedSequence() { truncate(0); }

  const std::vector<int32_t>& ids() const { return ids_; }
  const std::vector<int32_t>& blocks() const { return blocks_; }  // in the order of positions
  int64_t length() const { return static_cast<int64_t>(ids_.size()); }

  // Makes room for the keys and values of further tokens, which are the caller's to compute. The
  // cache must have the blocks.
  void append(Backend& backend, std::span<const int32_t> ids);

  // Keeps the first `length` tokens.
  void truncate(int64_t length);

  // Another sequence that begins with these tokens.
  CachedSequence fork() const;

 private:
  KvCache* cache_;
  std::vector<int32_t> ids_;
  std::vector<int32_t> blocks_;
};

}  // namespace cria
