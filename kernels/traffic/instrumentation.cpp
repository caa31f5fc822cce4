// What code compiled with -fsanitize=thread calls at its loads and stores: the interface of
// ThreadSanitizer's run-time library (compiler-rt/lib/tsan/rtl/tsan_interface.h), here to count.
// The library itself is not linked. Atomics have to be carried out too; they count as a load and a
// store.
#include "kernels/traffic/counter.h"

namespace {

using cria::emulated::Access;

void count(Access access, const void* address, size_t bytes, const void* instruction) {
  if (auto* counter = cria::emulated::traffic::running_counter) {
    counter->access(access, address, bytes, instruction);
  }
}

}  // namespace

#define CALLER __builtin_return_address(0)

extern "C" {

void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_read(void**) {}
void __tsan_vptr_update(void**, void*) {}

void __tsan_read_range(const void* address, size_t bytes) {
  count(Access::load, address, bytes, CALLER);
}
void __tsan_write_range(void* address, size_t bytes) {
  count(Access::store, address, bytes, CALLER);
}

#define CRIA_ACCESSES(bytes)                                                                    \
  void __tsan_read##bytes(const void* address) { count(Access::load, address, bytes, CALLER); } \
  void __tsan_write##bytes(void* address) { count(Access::store, address, bytes, CALLER); }     \
  void __tsan_unaligned_read##bytes(const void* address) {                                      \
    count(Access::load, address, bytes, CALLER);                                                \
  }                                                                                             \
  void __tsan_unaligned_write##bytes(void* address) {                                           \
    count(Access::store, address, bytes, CALLER);                                               \
  }

CRIA_ACCESSES(1)
CRIA_ACCESSES(2)
CRIA_ACCESSES(4)
CRIA_ACCESSES(8)
CRIA_ACCESSES(16)

#define CRIA_ATOMICS(bits, Value)                                                             \
  Value __tsan_atomic##bits##_load(const volatile Value* address, int) {                      \
    count(Access::load, const_cast<const Value*>(address), bits / 8, CALLER);                 \
    return __atomic_load_n(address, __ATOMIC_SEQ_CST);                                        \
  }                                                                                           \
  void __tsan_atomic##bits##_store(volatile Value* address, Value value, int) {               \
    count(Access::store, const_cast<const Value*>(address), bits / 8, CALLER);                \
    __atomic_store_n(address, value, __ATOMIC_SEQ_CST);                                       \
  }                                                                                           \
  Value __tsan_atomic##bits##_exchange(volatile Value* address, Value value, int) {           \
    count(Access::load, const_cast<const Value*>(address), bits / 8, CALLER);                 \
    count(Access::store, const_cast<const Value*>(address), bits / 8, CALLER);                \
    return __atomic_exchange_n(address, value, __ATOMIC_SEQ_CST);                             \
  }                                                                                           \
  Value __tsan_atomic##bits##_fetch_add(volatile Value* address, Value value, int) {          \
    count(Access::load, const_cast<const Value*>(address), bits / 8, CALLER);                 \
    count(Access::store, const_cast<const Value*>(address), bits / 8, CALLER);                \
    return __atomic_fetch_add(address, value, __ATOMIC_SEQ_CST);                              \
  }                                                                                           \
  int __tsan_atomic##bits##_compare_exchange_strong(volatile Value* address, Value* expected, \
                                                    Value value, int, int) {                  \
    count(Access::load, const_cast<const Value*>(address), bits / 8, CALLER);                 \
    count(Access::store, const_cast<const Value*>(address), bits / 8, CALLER);                \
    return __atomic_compare_exchange_n(address, expected, value, false, __ATOMIC_SEQ_CST,     \
                                       __ATOMIC_SEQ_CST);                                     \
  }                                                                                           \
  Value __tsan_atomic##bits##_compare_exchange_val(volatile Value* address, Value expected,   \
                                                   Value value, int, int) {                   \
    count(Access::load, const_cast<const Value*>(address), bits / 8, CALLER);                 \
    count(Access::store, const_cast<const Value*>(address), bits / 8, CALLER);                \
    __atomic_compare_exchange_n(address, &expected, value, false, __ATOMIC_SEQ_CST,           \
                                __ATOMIC_SEQ_CST);                                            \
    return expected;                                                                          \
  }

CRIA_ATOMICS(32, unsigned)
CRIA_ATOMICS(64, unsigned long)

void __tsan_atomic_thread_fence(int) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

}  // extern "C"
