// Embedding. Forward: a thread copies 16 bytes of a row; memory: each row read and written once.
//
// Backward sums the rows of each id in ascending t, as the header fixes it. The tokens are first
// listed by id: an atomic counter for each id hands out slots in whatever order threads come, and
// then the rank of each token among those of its id puts the list in order, whatever the slots
// were. One block then sums the rows of an id (part of its columns), the rows themselves read once:
//   count    slots[t]: how many tokens of the same id drew before;  counts[v]
//   reserve  starts[v]: a stretch of counts[v] entries
//   place    tokens[starts[v] + slots[t]] = t
//   order    ordered[starts[v] + rank] = t
//   sum      table_gradient[v] += rows ordered[starts[v]...]
// Memory: T d read, distinct ids times d read and written; the lists are 4 (2 V + 3 T) bytes.
#include <algorithm>

#include "cria/ops/embedding.h"

#include "kernels/device/access_width.h"
#include "kernels/device/device.h"
#include "kernels/device/fill.h"
#include "kernels/device/vector.h"
#include "kernels/ops.h"

namespace cria::CRIA_GPU {

namespace {

constexpr int kThreads = 256;

template <int kWidth, typename T>
__global__ void __launch_bounds__(RowBlocks::kMaxThreads)
    forward_kernel(T* __restrict__ output, const T* __restrict__ table,
                   const int32_t* __restrict__ ids, int64_t columns) {
  const int64_t column = item_of_row() * kWidth;
  if (column >= columns) return;
  const int64_t t = blockIdx.x;
  store(output + t * columns + column, load<kWidth>(table + ids[t] * columns + column));
}

struct TokenLists {
  int32_t* reserved;  // [1], entries given out
  int32_t* counts;    // [V]
  int32_t* starts;    // [V], of ids that occur
  int32_t* slots;     // [T]
  int32_t* tokens;    // [T], by id
  int32_t* ordered;   // [T], by id, in ascending order

  static constexpr int64_t size(int64_t tokens, int64_t vocab_size) {
    return 1 + 2 * vocab_size + 3 * tokens;
  }
  TokenLists(void* workspace, int64_t token_count, int64_t vocab_size)
      : reserved(static_cast<int32_t*>(workspace)),
        counts(reserved + 1),
        starts(counts + vocab_size),
        slots(starts + vocab_size),
        tokens(slots + token_count),
        ordered(tokens + token_count) {}
};

__global__ void __launch_bounds__(kThreads)
    count_kernel(TokenLists lists, const int32_t* ids, int64_t token_count) {
  const int64_t t = flat_item();
  if (t < token_count) lists.slots[t] = atomicAdd(&lists.counts[ids[t]], 1);
}

__global__ void __launch_bounds__(kThreads)
    reserve_kernel(TokenLists lists, const int32_t* ids, int64_t token_count) {
  const int64_t t = flat_item();
  if (t >= token_count || lists.slots[t] != 0) return;
  lists.starts[ids[t]] = atomicAdd(lists.reserved, lists.counts[ids[t]]);
}

__global__ void __launch_bounds__(kThreads)
    place_kernel(TokenLists lists, const int32_t* ids, int64_t token_count) {
  const int64_t t = flat_item();
  if (t < token_count) {
    lists.tokens[lists.starts[ids[t]] + lists.slots[t]] = static_cast<int32_t>(t);
  }
}

__global__ void __launch_bounds__(kThreads)
    order_kernel(TokenLists lists, const int32_t* ids, int64_t token_count) {
  const int64_t t = flat_item();
  if (t >= token_count) return;
  const int32_t start = lists.starts[ids[t]];
  const int32_t count = lists.counts[ids[t]];
  int32_t rank = 0;
  for (int32_t i = 0; i < count; ++i) rank += lists.tokens[start + i] < t ? 1 : 0;
  lists.ordered[start + rank] = static_cast<int32_t>(t);
}

// The block of the token in slot 0 works for the id.
template <int kWidth, typename T, typename G>
__global__ void __launch_bounds__(RowBlocks::kMaxThreads)
    sum_kernel(G* __restrict__ table_gradient, const T* __restrict__ output_gradient,
               TokenLists lists, const int32_t* __restrict__ ids, int64_t columns) {
  const int64_t t = blockIdx.x;
  const int64_t column = item_of_row() * kWidth;
  if (lists.slots[t] != 0 || column >= columns) return;
  const int32_t id = ids[t];
  const int32_t count = lists.counts[id];
  const int32_t* __restrict__ ordered = lists.ordered + lists.starts[id];
  const T* rows = output_gradient + column;

  Vector<float, kWidth> sum = {};
#pragma unroll 8
  for (int32_t i = 0; i < count; ++i) {
    const auto row = to_float(load<kWidth>(rows + ordered[i] * columns));
#pragma unroll
    for (int k = 0; k < kWidth; ++k) sum[k] += row[k];
  }
  G* to = table_gradient + id * columns + column;
  auto total = to_float(load<kWidth>(to));
#pragma unroll
  for (int k = 0; k < kWidth; ++k) total[k] += sum[k];
  store(to, from_float<G>(total));
}

}  // namespace

void embedding_forward(const EmbeddingForward& args, Stream stream) {
  const int64_t tokens = args.output.shape[0];
  const int64_t columns = args.output.shape[1];
  CRIA_ASSERT(args.table.dtype == args.output.dtype && args.table.shape[1] == columns);
  CRIA_ASSERT(args.ids.size() == tokens);
  if (tokens == 0) return;
  visit_dtype(args.output.dtype, [&]<typename T>() {
    visit_width<kVectorWidth<T>>(columns, {args.output, args.table}, [&]<int kWidth>() {
      const RowBlocks blocks(tokens, columns / kWidth);
      launch(forward_kernel<kWidth, T>, blocks.grid, blocks.block, 0, stream, args.output.as<T>(),
             args.table.as<T>(), args.ids.as<int32_t>(), columns);
    });
  });
}

size_t embedding_backward_workspace_bytes(int64_t tokens, int64_t vocab_size) {
  return static_cast<size_t>(TokenLists::size(tokens, vocab_size)) * sizeof(int32_t);
}

void embedding_backward(const EmbeddingBackward& args, Stream stream) {
  const int64_t tokens = args.output_gradient.shape[0];
  const int64_t columns = args.output_gradient.shape[1];
  const int64_t vocab_size = args.table_gradient.shape[0];
  CRIA_ASSERT(args.table_gradient.shape[1] == columns && args.ids.size() == tokens);
  CRIA_ASSERT(args.workspace.bytes() >= embedding_backward_workspace_bytes(tokens, vocab_size));
  if (tokens == 0) return;
  const int32_t* ids = args.ids.as<int32_t>();

  const TokenLists lists(args.workspace.data, tokens, vocab_size);
  fill(lists.reserved, 1 + vocab_size, 0, stream);  // and the counts behind it
  for (const auto kernel : {count_kernel, reserve_kernel, place_kernel, order_kernel}) {
    launch(kernel, flat_grid<kThreads>(tokens), dim3(kThreads), 0, stream, lists, ids, tokens);
  }
  visit_dtype(args.output_gradient.dtype, [&]<typename T>() {
    visit_dtype(args.table_gradient.dtype, [&]<typename G>() {
      visit_width<std::min(kVectorWidth<T>, kVectorWidth<G>)>(
          columns, {args.output_gradient, args.table_gradient}, [&]<int kWidth>() {
            const RowBlocks blocks(tokens, columns / kWidth);
            launch(sum_kernel<kWidth, T, G>, blocks.grid, blocks.block, 0, stream,
                   args.table_gradient.as<G>(), args.output_gradient.as<T>(), lists, ids, columns);
          });
    });
  });
}

}  // namespace cria::CRIA_GPU
