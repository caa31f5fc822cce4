// Ops of generation: decoding_rows slots with decoding_context tokens each in a cache of blocks of
// 16.
#include <cmath>

#include "measure.h"

namespace cria {

namespace {

constexpr int64_t kBlockSize = 16;

// Arguments: heads, heads of keys, head size, dtype.
struct Decoding {
  explicit Decoding(const benchmark::State& state)
      : heads(static_cast<int>(state.range(0))),
        kv_heads(static_cast<int>(state.range(1))),
        head_dim(state.range(2)),
        dtype(dtype_of_argument(state.range(3))),
        qkv({decoding_rows, (heads + 2 * kv_heads) * head_dim}, dtype),
        output({decoding_rows, heads * head_dim}, dtype),
        keys({block_count(), kv_heads, kBlockSize, head_dim}, dtype),
        values({block_count(), kv_heads, kBlockSize, head_dim}, dtype),
        block_tables(scattered_blocks(), {decoding_rows, decoding_context / kBlockSize}),
        row_sequences(spread_ids(decoding_rows, decoding_rows)),
        context_lengths(std::vector<int32_t>(static_cast<size_t>(decoding_rows),
                                             static_cast<int32_t>(decoding_context))),
        workspace(backend().decode_attention_workspace_bytes(decoding_rows, decoding_context, heads,
                                                             static_cast<int>(head_dim))) {}

  static int64_t block_count() { return decoding_rows * decoding_context / kBlockSize; }
  // Neighbours in a sequence are far apart in memory.
  static std::vector<int32_t> scattered_blocks() {
    return spread_ids(block_count(), block_count());
  }
  // Of the keys and values of `tokens` tokens.
  double bytes(int64_t tokens) const {
    return 2.0 * static_cast<double>(tokens * kv_heads * head_dim) *
           static_cast<double>(size_of(dtype));
  }

  int heads, kv_heads;
  int64_t head_dim;
  DType dtype;
  Filled qkv, output, keys, values, block_tables, row_sequences, context_lengths, workspace;
};

void kv_cache_write(benchmark::State& state) {
  const Decoding p(state);
  const Filled table({decoding_context, p.head_dim}, DType::f32);
  // qkv in, queries out to where they were, keys and values to the cache.
  const double queries = static_cast<double>(decoding_rows * p.heads * p.head_dim) *
                         static_cast<double>(size_of(p.dtype));
  repeat(state, "GB/s", 2 * (queries + p.bytes(decoding_rows)), [&] {
    backend().kv_cache_write({.keys = p.keys,
                              .values = p.values,
                              .qkv = p.qkv,
                              .rope_table = table,
                              .block_tables = p.block_tables,
                              .row_sequences = p.row_sequences,
                              .context_lengths = p.context_lengths,
                              .n_heads = p.heads,
                              .n_kv_heads = p.kv_heads});
  });
}

void decode_attention(benchmark::State& state) {
  const Decoding p(state);
  repeat(state, "GB/s", p.bytes(decoding_rows * decoding_context), [&] {
    backend().decode_attention({.output = p.output,
                                .qkv = p.qkv,
                                .keys = p.keys,
                                .values = p.values,
                                .block_tables = p.block_tables,
                                .row_sequences = p.row_sequences,
                                .context_lengths = p.context_lengths,
                                .n_heads = p.heads,
                                .n_kv_heads = p.kv_heads,
                                .scale = 1.0f / std::sqrt(static_cast<float>(p.head_dim)),
                                .workspace = p.workspace});
  });
}

// Arguments: vocabulary, top_k (0: all), top_p in percent. GB/s of the logits.
void sampling(benchmark::State& state) {
  const int64_t v = state.range(0);
  const auto rows = static_cast<size_t>(decoding_rows);
  const Filled tokens{std::vector<int32_t>(rows)}, logprobs({decoding_rows}, DType::f32),
      logits({decoding_rows, v}, DType::f32), temperatures(std::vector<float>(rows, 0.7f)),
      top_k(std::vector<int32_t>(rows, static_cast<int32_t>(state.range(1)))),
      top_p(std::vector<float>(rows, static_cast<float>(state.range(2)) / 100)),
      keys(spread_ids(4 * decoding_rows, 4 * decoding_rows), {decoding_rows, 4}),
      workspace(backend().sampling_workspace_bytes(decoding_rows, v));
  repeat(state, "GB/s", 4.0 * static_cast<double>(decoding_rows * v), [&] {
    backend().sampling({.tokens = tokens,
                        .logprobs = logprobs,
                        .logits = logits,
                        .temperatures = temperatures,
                        .top_k = top_k,
                        .top_p = top_p,
                        .keys = keys,
                        .workspace = workspace});
  });
}

}  // namespace

void add_generation_benchmarks(const Shapes& shapes) {
  with_heads(add("kv_cache_write", kv_cache_write), shapes.decoding_heads, shapes.dtypes);
  with_heads(add("decode_attention", decode_attention), shapes.decoding_heads, shapes.dtypes);
  add("sampling", sampling)->Args({vocab_size, 0, 100})->Args({vocab_size, 50, 90});
}

}  // namespace cria
