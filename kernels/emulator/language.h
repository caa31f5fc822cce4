// The part of CUDA's language that cria's kernels use, for the host compiler: CUDA's own spelling,
// so that a kernel's source is the same for both. docs/emulator.md tells how it runs.
#pragma once

#include <atomic>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <new>
#include <source_location>
#include <type_traits>

#include <math.h>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ static thread_local  // the threads of a block run on one thread of the host

namespace cria::emulated {

struct Stream {};  // a launch runs at once, so there is nothing to queue

// Where a device function was called from, for errors.
using CallSite = std::source_location;

struct uint3 {
  unsigned x = 0, y = 0, z = 0;
};

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_size = 1, unsigned y_size = 1, unsigned z_size = 1)
      : x(x_size), y(y_size), z(z_size) {}
};

// Of the thread that runs at present on this thread of the host.
inline thread_local constinit uint3 threadIdx;
inline thread_local constinit uint3 blockIdx;
inline thread_local constinit dim3 blockDim;
inline thread_local constinit dim3 gridDim;
constexpr int warpSize = 32;

// --- Shared memory. Every block finds it filled with 0xFF: NaN in fp32 and bf16. ---

namespace detail {

inline thread_local constinit uint64_t block_epoch = 0;  // counts the blocks that ran here
void enter_static_shared(void* storage, size_t bytes);   // first use in a block
[[noreturn]] void refuse_static_index(int index, int elements);
void* dynamic_shared_memory();

}  // namespace detail

// One a host thread; on the heap, where AddressSanitizer watches its ends.
template <typename T, int kElements>
class SharedArray {
 public:
  static_assert(std::is_trivially_default_constructible_v<T> && std::is_trivially_copyable_v<T>);

  SharedArray() : values_(static_cast<T*>(::operator new(kBytes, kAlignment))) {}
  ~SharedArray() { ::operator delete(values_, kAlignment); }
  SharedArray(const SharedArray&) = delete;

  T& operator[](int i) {
    if (i < 0 || i >= kElements) detail::refuse_static_index(i, kElements);
    return data()[i];
  }
  T* data() {
    if (epoch_ != detail::block_epoch) {
      detail::enter_static_shared(values_, kBytes);
      epoch_ = detail::block_epoch;
    }
    return values_;
  }
  static constexpr int size() { return kElements; }

 private:
  static constexpr size_t kBytes = sizeof(T) * kElements;
  static constexpr std::align_val_t kAlignment{16};
  T* values_;
  uint64_t epoch_ = 0;
};

// Of exactly the size that the launch asked for: beyond it, AddressSanitizer or, at the end of the
// block, a canary tells.
template <typename T>
T* dynamic_shared() {
  return static_cast<T*>(detail::dynamic_shared_memory());
}

// --- Barriers of the block. Threads that have returned do not count. Waiting at two different
// lines is an error. ---

void __syncthreads(CallSite where = CallSite::current());
int __syncthreads_or(int predicate, CallSite where = CallSite::current());
int __syncthreads_and(int predicate, CallSite where = CallSite::current());
int __syncthreads_count(int predicate, CallSite where = CallSite::current());

inline void __threadfence() { std::atomic_thread_fence(std::memory_order_seq_cst); }
inline void __threadfence_block() {}

// --- Warp operations: they complete when every lane of the mask has come. ---

void __syncwarp(unsigned mask = 0xffffffffu, CallSite where = CallSite::current());
unsigned __ballot_sync(unsigned mask, int predicate, CallSite where = CallSite::current());
int __any_sync(unsigned mask, int predicate, CallSite where = CallSite::current());
int __all_sync(unsigned mask, int predicate, CallSite where = CallSite::current());

namespace detail {

enum class Shuffle { index, up, down, butterfly };
uint64_t shuffle(Shuffle kind, unsigned mask, uint64_t bits, int argument, int width,
                 CallSite where);

template <typename T>
concept Shuffled = std::is_arithmetic_v<T> &&(sizeof(T) == 4 || sizeof(T) == 8);

template <Shuffled T>
T shuffle_value(Shuffle kind, unsigned mask, T value, int argument, int width, CallSite where) {
  using Bits = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
  const uint64_t bits = shuffle(kind, mask, std::bit_cast<Bits>(value), argument, width, where);
  return std::bit_cast<T>(static_cast<Bits>(bits));
}

}  // namespace detail

template <detail::Shuffled T>
T __shfl_sync(unsigned mask, T value, int source_lane, int width = warpSize,
              CallSite where = CallSite::current()) {
  return detail::shuffle_value(detail::Shuffle::index, mask, value, source_lane, width, where);
}
template <detail::Shuffled T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = warpSize,
                 CallSite where = CallSite::current()) {
  return detail::shuffle_value(detail::Shuffle::up, mask, value, static_cast<int>(delta), width,
                               where);
}
template <detail::Shuffled T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = warpSize,
                   CallSite where = CallSite::current()) {
  return detail::shuffle_value(detail::Shuffle::down, mask, value, static_cast<int>(delta), width,
                               where);
}
template <detail::Shuffled T>
T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = warpSize,
                  CallSite where = CallSite::current()) {
  return detail::shuffle_value(detail::Shuffle::butterfly, mask, value, lane_mask, width, where);
}

// --- Atomics, on memory that blocks on other host threads may use too. ---

namespace detail {

template <typename T>
concept Atomic =
    std::same_as<T, int> || std::same_as<T, unsigned> || std::same_as<T, unsigned long long>;

// Stores choose(old) and returns old.
template <Atomic T, typename Choose>
T update_atomically(T* address, Choose choose) {
  const std::atomic_ref<T> value(*address);
  T old = value.load();
  while (!value.compare_exchange_weak(old, choose(old))) {
  }
  return old;
}

}  // namespace detail

template <detail::Atomic T>
T atomicAdd(T* address, std::type_identity_t<T> value) {
  return std::atomic_ref<T>(*address).fetch_add(value);
}
template <detail::Atomic T>
T atomicMax(T* address, std::type_identity_t<T> value) {
  return detail::update_atomically(address, [=](T old) { return old > value ? old : value; });
}
template <detail::Atomic T>
T atomicMin(T* address, std::type_identity_t<T> value) {
  return detail::update_atomically(address, [=](T old) { return old < value ? old : value; });
}
template <detail::Atomic T>
T atomicExch(T* address, std::type_identity_t<T> value) {
  return std::atomic_ref<T>(*address).exchange(value);
}
template <detail::Atomic T>
T atomicCAS(T* address, std::type_identity_t<T> expected, std::type_identity_t<T> value) {
  std::atomic_ref<T>(*address).compare_exchange_strong(expected, value);
  return expected;  // what was there
}

// --- Arithmetic that math.h does not have. ---

inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline int __float2int_rn(float x) { return static_cast<int>(lrintf(x)); }
inline int __popc(unsigned x) { return std::popcount(x); }
inline int __popcll(unsigned long long x) { return std::popcount(x); }
inline int __clz(int x) { return std::countl_zero(static_cast<unsigned>(x)); }
inline int __ffs(int x) { return x == 0 ? 0 : std::countr_zero(static_cast<unsigned>(x)) + 1; }

// --- Accesses of several elements: aligned to their size, and seen as one by observers. ---

void check_load(const void* pointer, size_t bytes, CallSite where);
void check_store(const void* pointer, size_t bytes, CallSite where);

}  // namespace cria::emulated
