#include <cstring>

#include "cria/core/parallel.h"

#include "cpu_ops.h"
#include "vector_math.h"

namespace cria::cpu {

namespace {

constexpr int64_t kColumnBlock = 512;  // fp32 sums kept on the stack
constexpr int32_t kEnd = -1;

void check_ids(const int32_t* ids, int64_t tokens, int64_t vocab_size) {
  int32_t low = 0;
  int32_t high = 0;
#pragma omp simd reduction(min : low) reduction(max : high)
  for (int64_t t = 0; t < tokens; ++t) {
    low = std::min(low, ids[t]);
    high = std::max(high, ids[t]);
  }
  CRIA_ASSERT(low >= 0 && (tokens == 0 || high < vocab_size));
}

// The tokens of each id as linked lists in ascending t: first[v], then next[t] until kEnd. The ids
// that occur come out as a list of their own, so that the work is shared out over those alone.
struct TokensById {
  int32_t* first;     // [V]
  int32_t* next;      // [T]
  int32_t* distinct;  // [T]
  int64_t distinct_count = 0;

  TokensById(void* workspace, const int32_t* ids, int64_t tokens, int64_t vocab_size)
      : first(static_cast<int32_t*>(workspace)), next(first + vocab_size), distinct(next + tokens) {
    std::fill_n(first, vocab_size, kEnd);
    for (int64_t t = tokens - 1; t >= 0; --t) {
      int32_t& head = first[ids[t]];
      if (head == kEnd) distinct[distinct_count++] = ids[t];
      next[t] = head;
      head = static_cast<int32_t>(t);
    }
  }
};

}  // namespace

void embedding_forward(const EmbeddingForward& args) {
  const int64_t tokens = args.output.shape[0];
  const size_t row_bytes = static_cast<size_t>(args.output.shape[1]) * size_of(args.output.dtype);
  CRIA_ASSERT(args.table.dtype == args.output.dtype);
  const int32_t* ids = args.ids.as<int32_t>();
  check_ids(ids, tokens, args.table.shape[0]);
  const auto* table = static_cast<const std::byte*>(args.table.data);
  auto* output = static_cast<std::byte*>(args.output.data);
  parallel_for(tokens, 64, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      std::memcpy(output + static_cast<size_t>(t) * row_bytes,
                  table + static_cast<size_t>(ids[t]) * row_bytes, row_bytes);
    }
  });
}

size_t embedding_backward_workspace_bytes(int64_t tokens, int64_t vocab_size) {
  return static_cast<size_t>(vocab_size + 2 * tokens) * sizeof(int32_t);
}

void embedding_backward(const EmbeddingBackward& args) {
  const int64_t tokens = args.output_gradient.shape[0];
  const int64_t columns = args.output_gradient.shape[1];
  const int64_t vocab_size = args.table_gradient.shape[0];
  const int32_t* ids = args.ids.as<int32_t>();
  check_ids(ids, tokens, vocab_size);
  CRIA_ASSERT(args.workspace.bytes() >= embedding_backward_workspace_bytes(tokens, vocab_size));
  const TokensById lists(args.workspace.data, ids, tokens, vocab_size);

  visit_dtype(args.output_gradient.dtype, [&]<typename T>() {
    visit_dtype(args.table_gradient.dtype, [&]<typename G>() {
      const T* output_gradient = args.output_gradient.as<T>();
      G* table_gradient = args.table_gradient.as<G>();
      parallel_for_each(lists.distinct_count, [&](int64_t item) {
        const int64_t id = lists.distinct[item];
        for (int64_t begin = 0; begin < columns; begin += kColumnBlock) {
          const int64_t width = std::min(kColumnBlock, columns - begin);
          float sum[kColumnBlock] = {};
          for (int32_t t = lists.first[id]; t != kEnd; t = lists.next[t]) {
            const T* from = output_gradient + t * columns + begin;
#pragma omp simd
            for (int64_t j = 0; j < width; ++j) sum[j] += static_cast<float>(from[j]);
          }
          G* to = table_gradient + id * columns + begin;
#pragma omp simd
          for (int64_t j = 0; j < width; ++j) store(to[j], static_cast<float>(to[j]) + sum[j]);
        }
      });
    });
  });
}

}  // namespace cria::cpu
