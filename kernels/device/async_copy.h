// Copies from global to shared memory that run while the thread goes on (cp.async). Each thread
// starts copies, closes a group with async_commit, and waits until all but its newest N groups have
// arrived; a barrier after the wait makes them visible to the block. Before its wait the
// destination holds nothing of use, neither the old values nor the new.
#pragma once

#include "kernels/device/device.h"

namespace cria::CRIA_GPU {

#ifdef __CUDACC__

// 16 bytes, both ends aligned to 16; zeros arrive where `valid` is false, and nothing is read.
__device__ inline void async_copy_16(void* shared, const void* global, bool valid = true) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(
                   static_cast<uint32_t>(__cvta_generic_to_shared(shared))),
               "l"(__cvta_generic_to_global(global)), "r"(valid ? 16 : 0)
               : "memory");
}

// The same of 4 bytes, through the L1 cache.
__device__ inline void async_copy_4(void* shared, const void* global, bool valid = true) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(
                   static_cast<uint32_t>(__cvta_generic_to_shared(shared))),
               "l"(__cvta_generic_to_global(global)), "r"(valid ? 4 : 0)
               : "memory");
}

__device__ inline void async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

template <int kPendingGroups>
__device__ void async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPendingGroups) : "memory");
}

#else

// kernels/emulator/async_copy.cpp
void async_copy_16(void* shared, const void* global, bool valid = true,
                   CallSite where = CallSite::current());
void async_copy_4(void* shared, const void* global, bool valid = true,
                  CallSite where = CallSite::current());
void async_commit();
void async_wait_pending(int pending_groups);

template <int kPendingGroups>
void async_wait() {
  async_wait_pending(kPendingGroups);
}

#endif

}  // namespace cria::CRIA_GPU
