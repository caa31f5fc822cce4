#include "cria/model/cached_sequence.h"

#include <utility>

namespace cria {

CachedSequence::CachedSequence(CachedSequence&& other) noexcept
    : cache_(other.cache_),
      ids_(std::exchange(other.ids_, {})),
      blocks_(std::exchange(other.blocks_, {})) {}

CachedSequence& CachedSequence::operator=(CachedSequence&& other) noexcept {
  if (this == &other) return *this;
  truncate(0);
  cache_ = other.cache_;
  ids_ = std::exchange(other.ids_, {});
  blocks_ = std::exchange(other.blocks_, {});
  return *this;
}

void CachedSequence::append(Backend& backend, std::span<const int32_t> ids) {
  const bool last_is_partial = length() % cache_->block_size() != 0;
  if (!ids.empty() && last_is_partial && cache_->owners(blocks_.back()) > 1) {
    const int32_t shared = blocks_.back();
    cache_->release(shared);
    blocks_.back() = cache_->allocate();
    cache_->copy(backend, blocks_.back(), shared);
  }
  ids_.insert(ids_.end(), ids.begin(), ids.end());
  while (static_cast<int64_t>(blocks_.size()) < cache_->blocks_for(length())) {
    blocks_.push_back(cache_->allocate());
  }
}

void CachedSequence::truncate(int64_t length) {
  CRIA_ASSERT(length <= this->length());
  ids_.resize(static_cast<size_t>(length));
  while (static_cast<int64_t>(blocks_.size()) > cache_->blocks_for(length)) {
    cache_->release(blocks_.back());
    blocks_.pop_back();
  }
}

CachedSequence CachedSequence::fork() const {
  CachedSequence other(*cache_);
  other.ids_ = ids_;
  other.blocks_ = blocks_;
  for (const int32_t block : blocks_) cache_->share(block);
  return other;
}

}  // namespace cria
