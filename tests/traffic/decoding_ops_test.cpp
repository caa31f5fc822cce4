// The ops of generation.
#include <cmath>

#include "traffic/op_traffic.h"

namespace cria::testing {

namespace {

constexpr DType kDTypes[] = {DType::f32, DType::bf16};

// Slots with a context each in a cache of blocks of 16, neighbours far apart in memory.
struct Decoding {
  Decoding(int64_t row_count, int64_t context_length, int kv_head_count, int64_t head_size,
           DType type)
      : rows(row_count),
        context(context_length),
        kv_heads(kv_head_count),
        head_dim(head_size),
        dtype(type),
        qkv(Counted::random({rows, (kHeads + 2 * kv_heads) * head_dim}, dtype)),
        output({rows, kHeads * head_dim}, dtype),
        keys(Counted::random({rows * blocks(), kv_heads, kBlockSize, head_dim}, dtype)),
        values(Counted::random({rows * blocks(), kv_heads, kBlockSize, head_dim}, dtype)),
        block_tables(spread_ids(rows * blocks(), rows * blocks()), {rows, blocks()}),
        row_sequences(spread_ids(rows, rows)),
        context_lengths(
            std::vector<int32_t>(static_cast<size_t>(rows), static_cast<int32_t>(context))),
        workspace(backend().decode_attention_workspace_bytes(rows, context, kHeads,
                                                             static_cast<int>(head_dim))) {}

  int64_t blocks() const { return context / kBlockSize; }
  int64_t tables() const { return bytes_of({block_tables, row_sequences, context_lengths}); }
  std::string sizes() const {
    return fmt::format("{} × {} tokens, {} heads, {} of keys, × {} {}", rows, context, int{kHeads},
                       kv_heads, head_dim, name(dtype));
  }

  static constexpr int kHeads = 8;
  static constexpr int64_t kBlockSize = 16;
  int64_t rows, context;
  int kv_heads;
  int64_t head_dim;
  DType dtype;
  Counted qkv, output, keys, values, block_tables, row_sequences, context_lengths, workspace;
};

// Queries turned in place, keys turned on their way to the cache. The rows of all slots are at one
// position, with one row of the table.
TEST(DecodingOps, KvCacheWrite) {
  for (const DType dtype : kDTypes) {
    const Decoding p(64, 64, 4, 128, dtype);
    const Counted table({p.context, p.head_dim}, DType::f32);
    const int64_t row = (p.kHeads + p.kv_heads + p.kv_heads) * p.head_dim;
    const OpTraffic traffic = count_traffic(
        {.op = "kv_cache_write",
         .sizes = fmt::format("64 × {} heads, {} of keys, × 128 {}", int{p.kHeads}, p.kv_heads,
                              name(dtype)),
         .ideal_bytes = 2 * bytes_of(p.rows * row, dtype) + bytes_of(p.head_dim, DType::f32) +
                        bytes_of({p.row_sequences, p.context_lengths}) + 4 * p.rows,
         .cached = {table, p.block_tables, p.row_sequences, p.context_lengths}},
        [&](Backend& b) {
          b.kv_cache_write({.keys = p.keys,
                            .values = p.values,
                            .qkv = p.qkv,
                            .rope_table = table,
                            .block_tables = p.block_tables,
                            .row_sequences = p.row_sequences,
                            .context_lengths = p.context_lengths,
                            .n_heads = p.kHeads,
                            .n_kv_heads = p.kv_heads});
        });
    expect_streams(traffic);
  }
}

TEST(DecodingOps, DecodeAttention) {
  for (const int kv_heads : {8, 2}) {
    for (const int64_t head_dim : {64, 128}) {
      for (const DType dtype : kDTypes) {
        const Decoding p(4, 1024, kv_heads, head_dim, dtype);
        const OpTraffic traffic = count_traffic(
            {.op = "decode_attention",
             .sizes = p.sizes(),
             .ideal_bytes = bytes_of({p.keys, p.values, p.output}) + p.tables() +
                            bytes_of(p.rows * p.kHeads * head_dim, dtype),
             .cached = {p.qkv, p.block_tables, p.row_sequences, p.context_lengths, p.workspace}},
            [&](Backend& b) {
              b.decode_attention({.output = p.output,
                                  .qkv = p.qkv,
                                  .keys = p.keys,
                                  .values = p.values,
                                  .block_tables = p.block_tables,
                                  .row_sequences = p.row_sequences,
                                  .context_lengths = p.context_lengths,
                                  .n_heads = p.kHeads,
                                  .n_kv_heads = p.kv_heads,
                                  .scale = 1.0f / std::sqrt(static_cast<float>(head_dim)),
                                  .workspace = p.workspace});
            });
        expect_streams(traffic);
        expect_no_conflicts(traffic);
      }
    }
  }
}

// The weights are written once; every pass after that is over them, from L2.
TEST(DecodingOps, Sampling) {
  const int64_t rows = 2, vocab_size = 32000;
  const Counted tokens({rows}, DType::i32), logprobs({rows}, DType::f32),
      logits(Counted::random({rows, vocab_size}, DType::f32)),
      temperatures(std::vector<float>{0.7f, 1.0f}), top_k(std::vector<int32_t>{0, 50}),
      top_p(std::vector<float>{1.0f, 0.9f}), keys(spread_ids(4 * rows, 4 * rows), {rows, 4}),
      workspace(backend().sampling_workspace_bytes(rows, vocab_size));
  const OpTraffic traffic = count_traffic(
      {.op = "sampling",
       .sizes = "2 × 32000, one with top-k and top-p",
       .ideal_bytes = bytes_of({logits, tokens, logprobs, temperatures, top_k, top_p, keys}) +
                      2 * bytes_of({workspace}),
       .cached = {logits, workspace, temperatures, top_k, top_p, keys}},
      [&](Backend& b) {
        b.sampling({.tokens = tokens,
                    .logprobs = logprobs,
                    .logits = logits,
                    .temperatures = temperatures,
                    .top_k = top_k,
                    .top_p = top_p,
                    .keys = keys,
                    .workspace = workspace});
      });
  expect_moves_once(traffic);
  expect_no_conflicts(traffic);
}

}  // namespace

}  // namespace cria::testing
