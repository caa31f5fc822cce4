// cp.async on the host. What is read is read when the copy starts, which the GPU may do; it is
// delivered as late as the GPU may, at the wait. In between the destination is poisoned: whoever
// reads it too early, or still needs what was there, notices.
#include "kernels/device/async_copy.h"

#include <cstring>

#include "kernels/emulator/block.h"

namespace cria::emulated {

namespace {

void async_copy(size_t bytes, void* shared, const void* global, bool valid, CallSite where,
                const void* caller) {
  check_alignment(shared, bytes, where);
  check_alignment(global, bytes, where);
  if (valid) observe(Access::load, global, bytes, caller);
  observe(Access::store, shared, bytes, caller);
  PendingCopies& pending = Block::running().pending_copies();
  PendingCopy copy{.data = {}, .bytes = bytes, .destination = shared, .group = pending.group};
  if (valid) std::memcpy(copy.data.data(), global, bytes);
  std::memset(shared, 0xFF, bytes);
  pending.copies.push_back(copy);
}

}  // namespace

void async_copy_16(void* shared, const void* global, bool valid, CallSite where) {
  async_copy(16, shared, global, valid, where, __builtin_return_address(0));
}

void async_copy_4(void* shared, const void* global, bool valid, CallSite where) {
  async_copy(4, shared, global, valid, where, __builtin_return_address(0));
}

void async_commit() { ++Block::running().pending_copies().group; }

void async_wait_pending(int pending_groups) {
  PendingCopies& pending = Block::running().pending_copies();
  const auto arrives = [&](const PendingCopy& copy) {
    return copy.group < pending.group - pending_groups;
  };
  for (const PendingCopy& copy : pending.copies) {
    if (arrives(copy)) std::memcpy(copy.destination, copy.data.data(), copy.bytes);
  }
  std::erase_if(pending.copies, arrives);
}

}  // namespace cria::emulated
