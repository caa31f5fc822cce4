// Writes keys and values of new rows into the block cache. Data movement: every key and value is
// read once and written once, 16 bytes a thread where rows are made of these.
#include "kernels/cache_layout.h"
#include "kernels/ops.h"

namespace cria::CRIA_GPU {

namespace {

using namespace attention;

template <typename T>
struct Parameters {
  T* keys;
  T* values;
  const T* qkv;
  CacheLayout cache;
  const int32_t* row_sequences;
  const int32_t* context_lengths;
  int64_t pieces;  // rows x 2 n_kv_heads x pieces of a head
  int pieces_per_head;
  int n_heads;
};

constexpr int kThreads = 256;

// A thread copies kElements neighbours.
template <typename T, int kElements>
__global__ void __launch_bounds__(kThreads) kv_cache_write_kernel(Parameters<T> p) {
  const int64_t index = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (index >= p.pieces) return;
  const int column = static_cast<int>(index % p.pieces_per_head) * kElements;
  const int kv_heads = p.cache.n_kv_heads;
  const int head = static_cast<int>(index / p.pieces_per_head % (2 * kv_heads));  // keys, values
  const int64_t row = index / p.pieces_per_head / (2 * kv_heads);
  const int context = p.context_lengths[row];
  if (context == 0) return;
  T* const target = head < kv_heads ? p.keys : p.values;
  const int64_t offset = p.cache.element(p.row_sequences[row], context - 1, head % kv_heads);
  const int64_t source = (row * (p.n_heads + 2 * kv_heads) + p.n_heads + head) * p.cache.head_dim;
  store(target + offset + column, load<kElements>(p.qkv + source + column));
}

}  // namespace

void kv_cache_write(const KvCacheWrite& args, Stream stream) {
  const int64_t head_dim = args.keys.shape[3];
  visit_dtype(args.qkv.dtype, [&]<typename T>() {
    constexpr int kVector = 16 / static_cast<int>(sizeof(T));
    const bool vectorized =
        rows_in_vectors<T>(head_dim, {args.keys.data, args.values.data, args.qkv.data});
    const int64_t pieces_per_head = vectorized ? head_dim / kVector : head_dim;
    const Parameters<T> parameters{
        .keys = args.keys.as<T>(),
        .values = args.values.as<T>(),
        .qkv = args.qkv.as<T>(),
        .cache = layout_of(args.keys, args.block_tables),
        .row_sequences = args.row_sequences.as<int32_t>(),
        .context_lengths = args.context_lengths.as<int32_t>(),
        .pieces = args.qkv.shape[0] * 2 * args.n_kv_heads * pieces_per_head,
        .pieces_per_head = static_cast<int>(pieces_per_head),
        .n_heads = args.n_heads};
    if (parameters.pieces == 0) return;
    const dim3 grid(static_cast<unsigned>((parameters.pieces + kThreads - 1) / kThreads));
    launch(vectorized ? kv_cache_write_kernel<T, kVector> : kv_cache_write_kernel<T, 1>, grid,
           kThreads, 0, stream, parameters);
  });
}

}  // namespace cria::CRIA_GPU
