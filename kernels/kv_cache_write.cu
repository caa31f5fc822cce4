// Turns the queries and keys of new rows, and writes keys and values into the block cache: a thread
// for as many neighbouring pairs (i, half + i) of a head as 16 bytes hold; the pairs of values only
// move. Memory: qkv is read once, its queries written back, keys and values written to the cache.
#include "kernels/cache_layout.h"
#include "kernels/device/access_width.h"
#include "kernels/ops.h"
#include "kernels/rotate.h"

namespace cria::CRIA_GPU {

namespace {

using namespace attention;

template <typename T>
struct Parameters {
  T* keys;
  T* values;
  T* qkv;
  CacheLayout cache;
  const int32_t* row_sequences;
  const int32_t* context_lengths;
  const float* rope_table;
  int n_heads;
};

// Blocks of a row; its items are its heads times the vectors of half a head.
template <int kWidth, typename T>
__global__ void __launch_bounds__(RowBlocks::kMaxThreads) kv_cache_write_kernel(Parameters<T> p) {
  const int half = p.cache.head_dim / 2, per_head = half / kWidth;
  const int first_key = p.n_heads, first_value = first_key + p.cache.n_kv_heads;
  const int heads = first_value + p.cache.n_kv_heads;
  const auto item = static_cast<int>(item_of_row());
  const int head = item / per_head;
  const int64_t row = blockIdx.x;
  const int context = p.context_lengths[row];
  if (head >= heads || context == 0) return;
  const int i = item % per_head * kWidth;
  T* const source = p.qkv + (row * heads + head) * p.cache.head_dim + i;
  auto x1 = load<kWidth>(source);
  auto x2 = load<kWidth>(source + half);
  if (head < first_value) {
    const float* angles = p.rope_table + static_cast<int64_t>(context - 1) * 2 * half + i;
    rotate(x1, x2, angles, half, 1.0f);
  }
  T* target = source;
  if (head >= first_key) {
    const int kv_head = head < first_value ? head - first_key : head - first_value;
    const int64_t offset = p.cache.element(p.row_sequences[row], context - 1, kv_head);
    target = (head < first_value ? p.keys : p.values) + offset + i;
  }
  store(target, x1);
  store(target + half, x2);
}

}  // namespace

void kv_cache_write(const KvCacheWrite& args, Stream stream) {
  const int64_t rows = args.qkv.shape[0];
  const int64_t head_dim = args.keys.shape[3];
  const int64_t heads = args.n_heads + 2 * args.n_kv_heads;
  CRIA_ASSERT(head_dim % 2 == 0 && args.qkv.shape[1] == heads * head_dim);
  CRIA_ASSERT(args.rope_table.shape[1] == head_dim);
  if (rows == 0) return;
  visit_dtype(args.qkv.dtype, [&]<typename T>() {
    const Parameters<T> parameters{.keys = args.keys.as<T>(),
                                   .values = args.values.as<T>(),
                                   .qkv = args.qkv.as<T>(),
                                   .cache = layout_of(args.keys, args.block_tables),
                                   .row_sequences = args.row_sequences.as<int32_t>(),
                                   .context_lengths = args.context_lengths.as<int32_t>(),
                                   .rope_table = args.rope_table.as<float>(),
                                   .n_heads = args.n_heads};
    visit_width<kVectorWidth<T>>(head_dim / 2, {args.keys, args.values, args.qkv, args.rope_table},
                                 [&]<int kWidth>() {
                                   const RowBlocks blocks(rows, heads * (head_dim / 2 / kWidth));
                                   launch(kv_cache_write_kernel<kWidth, T>, blocks.grid,
                                          blocks.block, 0, stream, parameters);
                                 });
  });
}

}  // namespace cria::CRIA_GPU
