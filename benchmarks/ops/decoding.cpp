// Ops of generation: 32 slots with 1,024 tokens each in a cache of blocks of 16.
#include <cmath>

#include "measure.h"

namespace cria {

namespace {

constexpr int64_t kRows = 32;
constexpr int64_t kContext = 1024;
constexpr int64_t kBlockSize = 16;
constexpr int64_t kBlocksPerRow = kContext / kBlockSize;

// Arguments: heads, heads of keys, head size, dtype.
struct Decoding {
  explicit Decoding(const benchmark::State& state)
      : heads(static_cast<int>(state.range(0))),
        kv_heads(static_cast<int>(state.range(1))),
        head_dim(state.range(2)),
        dtype(dtype_of_argument(state.range(3))),
        qkv({kRows, (heads + 2 * kv_heads) * head_dim}, dtype),
        output({kRows, heads * head_dim}, dtype),
        keys({kRows * kBlocksPerRow, kv_heads, kBlockSize, head_dim}, dtype),
        values({kRows * kBlocksPerRow, kv_heads, kBlockSize, head_dim}, dtype),
        block_tables(scattered_blocks(), {kRows, kBlocksPerRow}),
        row_sequences(spread_ids(kRows, kRows)),
        context_lengths(std::vector<int32_t>(kRows, kContext)),
        workspace(backend().decode_attention_workspace_bytes(kRows, kContext, heads,
                                                             static_cast<int>(head_dim))) {}

  // Neighbours in a sequence are far apart in memory.
  static std::vector<int32_t> scattered_blocks() {
    return spread_ids(kRows * kBlocksPerRow, kRows * kBlocksPerRow);
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
  const Filled table({kContext, p.head_dim}, DType::f32);
  // qkv in, queries out to where they were, keys and values to the cache.
  const double queries =
      static_cast<double>(kRows * p.heads * p.head_dim) * static_cast<double>(size_of(p.dtype));
  repeat(state, "GB/s", 2 * (queries + p.bytes(kRows)), [&] {
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
  repeat(state, "GB/s", p.bytes(kRows * kContext), [&] {
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
  const Filled tokens{std::vector<int32_t>(kRows)}, logprobs({kRows}, DType::f32),
      logits({kRows, v}, DType::f32), temperatures(std::vector<float>(kRows, 0.7f)),
      top_k(std::vector<int32_t>(kRows, static_cast<int32_t>(state.range(1)))),
      top_p(std::vector<float>(kRows, static_cast<float>(state.range(2)) / 100)),
      keys(spread_ids(4 * kRows, 4 * kRows), {kRows, 4}),
      workspace(backend().sampling_workspace_bytes(kRows, v));
  repeat(state, "GB/s", 4.0 * static_cast<double>(kRows * v), [&] {
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

void add_generation_benchmarks() {
  add("kv_cache_write", kv_cache_write)->ArgsProduct({{12}, {12, 4, 1}, {64}, {0, 1}});
  add("decode_attention", decode_attention)->ArgsProduct({{12}, {12, 4, 1}, {64}, {0, 1}});
  add("sampling", sampling)->Args({kVocabSize, 0, 100})->Args({kVocabSize, 50, 90});
}

}  // namespace cria
