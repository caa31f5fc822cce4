// N neighbouring elements moved as one access of up to 16 bytes. Pointers must be aligned to the
// whole vector; the emulator checks it.
#pragma once

#include <cstring>
#include <type_traits>

#include "cria/core/dtype.h"

#include "kernels/device/device.h"

namespace cria::CRIA_GPU {

template <typename T, int kElements = 16 / sizeof(T)>
struct alignas(sizeof(T) * kElements) Vector {
  static_assert((kElements & (kElements - 1)) == 0, "aligned to its size: a power of two");
  static constexpr int kSize = kElements;

  T values[kElements];

  __device__ T& operator[](int i) { return values[i]; }
  __device__ const T& operator[](int i) const { return values[i]; }
};

#ifdef __CUDACC__

// The machine word of an access: nvcc then emits one load or store of that width.
template <size_t kBytes>
struct AccessWord;
template <>
struct AccessWord<16> {
  using type = uint4;
};
template <>
struct AccessWord<8> {
  using type = uint2;
};
template <>
struct AccessWord<4> {
  using type = uint32_t;
};
template <>
struct AccessWord<2> {
  using type = uint16_t;
};

template <typename V>
__device__ void copy_vector(V* destination, const V* source) {
  constexpr size_t kWordBytes = sizeof(V) < 16 ? sizeof(V) : 16;
  using Word = typename AccessWord<kWordBytes>::type;
#pragma unroll
  for (size_t i = 0; i < sizeof(V) / kWordBytes; ++i) {
    reinterpret_cast<Word*>(destination)[i] = reinterpret_cast<const Word*>(source)[i];
  }
}

__device__ inline void check_load(const void*, size_t, CallSite) {}
__device__ inline void check_store(const void*, size_t, CallSite) {}

#else

// Counters of accesses (kernels/traffic/) are told of the whole, so they must not see the pieces.
template <typename V>
[[gnu::no_sanitize_thread]] void copy_vector(V* destination, const V* source) {
  std::memcpy(destination, source, sizeof(V));
}

#endif

template <int kElements, typename T>
__device__ Vector<T, kElements> load(const T* pointer, CallSite where = CallSite::current()) {
  using V = Vector<T, kElements>;
  check_load(pointer, sizeof(V), where);
  V result;
  copy_vector(&result, reinterpret_cast<const V*>(pointer));
  return result;
}

template <typename T>
__device__ Vector<T> load(const T* pointer, CallSite where = CallSite::current()) {
  return load<static_cast<int>(16 / sizeof(T))>(pointer, where);
}

template <typename T, int kElements>
__device__ void store(T* pointer, const Vector<T, kElements>& vector,
                      CallSite where = CallSite::current()) {
  using V = Vector<T, kElements>;
  check_store(pointer, sizeof(V), where);
  copy_vector(reinterpret_cast<V*>(pointer), &vector);
}

// As store, of 16 bytes to global memory: one instruction, also where nvcc loses sight of the
// address's alignment and would make four of it.
template <typename T, int kElements>
__device__ void store_global(T* pointer, const Vector<T, kElements>& vector,
                             CallSite where = CallSite::current()) {
  static_assert(sizeof(vector) == 16);
#ifdef __CUDACC__
  uint4 words;
  copy_vector(&words, reinterpret_cast<const uint4*>(&vector));
  asm volatile("st.global.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(__cvta_generic_to_global(pointer)),
               "r"(words.x), "r"(words.y), "r"(words.z), "r"(words.w)
               : "memory");
  static_cast<void>(where);
#else
  store(pointer, vector, where);
#endif
}

// Two fp32 as bf16 in one word, `low` in the lower half: rounded to nearest even.
__device__ inline uint32_t pack_bf16(float low, float high) {
#ifdef __CUDACC__
  uint32_t word;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
  return word;
#else
  return bf16(low).bits | static_cast<uint32_t>(bf16(high).bits) << 16;
#endif
}

template <typename T, int kElements>
__device__ Vector<float, kElements> to_float(const Vector<T, kElements>& vector) {
  Vector<float, kElements> result;
#pragma unroll
  for (int i = 0; i < kElements; ++i) result[i] = static_cast<float>(vector[i]);
  return result;
}

template <typename T, int kElements>
__device__ Vector<T, kElements> from_float(const Vector<float, kElements>& vector) {
  Vector<T, kElements> result;
  if constexpr (std::is_same_v<T, bf16> && kElements % 2 == 0) {
#pragma unroll
    for (int i = 0; i < kElements; i += 2) {
      const uint32_t pair = pack_bf16(vector[i], vector[i + 1]);
      result[i].bits = static_cast<uint16_t>(pair);
      result[i + 1].bits = static_cast<uint16_t>(pair >> 16);
    }
  } else {
#pragma unroll
    for (int i = 0; i < kElements; ++i) result[i] = static_cast<T>(vector[i]);
  }
  return result;
}

}  // namespace cria::CRIA_GPU
