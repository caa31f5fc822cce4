// cp.async on the host. What is read is read when the copy starts, which the GPU may do; it is
// delivered as late as the GPU may, at the wait. In between the destination is poisoned: whoever
// reads it too early, or still needs what was there, notices.
#include "kernels/device/async_copy.h"

#include <cstring>

#include "kernels/emulator/block.h"

namespace cria::emulated {

void async_copy_16(void* shared, const void* global, bool valid, CallSite where) {
  constexpr size_t kBytes = 16;
  check_alignment(shared, kBytes, where);
  check_alignment(global, kBytes, where);
  if (valid) observe(Access::load, global, kBytes, __builtin_return_address(0));
  observe(Access::store, shared, kBytes, __builtin_return_address(0));
  PendingCopies& pending = Block::running().pending_copies();
  PendingCopy copy{.data = {}, .destination = shared, .group = pending.group};
  if (valid) std::memcpy(copy.data.data(), global, kBytes);
  std::memset(shared, 0xFF, kBytes);
  pending.copies.push_back(copy);
}

void async_commit() { ++Block::running().pending_copies().group; }

void async_wait_pending(int pending_groups) {
  PendingCopies& pending = Block::running().pending_copies();
  const auto arrives = [&](const PendingCopy& copy) {
    return copy.group < pending.group - pending_groups;
  };
  for (const PendingCopy& copy : pending.copies) {
    if (arrives(copy)) std::memcpy(copy.destination, copy.data.data(), copy.data.size());
  }
  std::erase_if(pending.copies, arrives);
}

}  // namespace cria::emulated
