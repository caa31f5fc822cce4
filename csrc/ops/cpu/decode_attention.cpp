// A worker takes the queries that attend to the same keys: the heads of a group, and of prefill
// also several rows of one sequence. Keys and values of the context are taken from the cache in
// blocks of kBlock positions, whatever the cache's own block size, and the products and the online
// softmax go query by query in the order of the positions: so a query's bits do not depend on who
// shares the tiles with it.
#include "cria/ops/decode_attention.h"

#include <limits>

#include "cria/core/parallel.h"

#include "attention_tiles.h"
#include "cpu_ops.h"
#include "rotate_heads.h"

namespace cria::cpu {

namespace {

using namespace attention;

constexpr int64_t kRowsPerThread = 16;  // a smaller copy is not worth another thread

// One key/value head of one sequence in the cache.
struct CachedHead {
  CachedHead(const Tensor& cache, const Tensor& block_tables, int32_t sequence, int64_t kv_head)
      : blocks(block_tables.as<int32_t>() + sequence * block_tables.shape[1]),
        block_size(cache.shape[2]),
        head_dim(cache.shape[3]),
        block_stride(cache.shape[1] * block_size * head_dim),
        head_offset(kv_head * block_size * head_dim) {}

  // Element offset into the cache of the token at `position`; `contiguous` rows follow it.
  int64_t offset(int64_t position) const {
    return blocks[position / block_size] * block_stride + head_offset +
           position % block_size * head_dim;
  }
  int64_t contiguous(int64_t position) const { return block_size - position % block_size; }

  // Calls visit(tile, done, rows) for the rows [begin, begin + count) of the cache in pieces,
  // `done` rows before each. Rows that can be read as vectors are tiles where they lie, others are
  // copied into `scratch`.
  template <typename T, typename Visit>
  void for_each_piece(Tile scratch, const T* cache, int64_t begin, int64_t count,
                      Visit&& visit) const {
    const bool in_place = head_dim % 16 == 0 && block_size % 16 == 0;
    for (int64_t done = 0; done < count;) {
      const int64_t rows = std::min(contiguous(begin + done), count - done);
      const T* source = cache + offset(begin + done);
      if (in_place) {
        visit(tile_at(source), done, rows);
      } else {
        load_tile(scratch.from_row(done), source, head_dim, rows, head_dim);
      }
      done += rows;
    }
    if (!in_place) visit(scratch, int64_t{0}, count);
  }

  // Asks for rows [begin, begin + count) of the cache, as far as the second-level cache.
  template <typename T>
  void prefetch(const T* cache, int64_t begin, int64_t count) const {
    asm volatile("");  // GCC drops calls of functions that do nothing but prefetch
    constexpr int64_t kLine = 64 / sizeof(T);
    for (int64_t done = 0; done < count;) {
      const int64_t rows = std::min(contiguous(begin + done), count - done);
      const T* source = cache + offset(begin + done);
      for (int64_t i = 0; i < rows * head_dim; i += kLine) __builtin_prefetch(source + i, 0, 2);
      done += rows;
    }
  }

  Tile tile_at(const float* rows) const { return {const_cast<float*>(rows), head_dim}; }
  NarrowTile tile_at(const bf16* rows) const { return {rows, head_dim}; }

  const int32_t* blocks;
  int64_t block_size;
  int64_t head_dim;
  int64_t block_stride;
  int64_t head_offset;
};

struct DecodeTiles {
  DecodeTiles(Scratch& scratch, int64_t head_dim)
      : query(scratch.tile(kBlock, head_dim)),
        key(scratch.tile(kBlock, head_dim)),
        key_transposed(scratch.tile(padded(head_dim), kBlock)),
        value(scratch.tile(kBlock, head_dim)),
        scores(scratch.tile(kBlock, kBlock)),
        output(scratch.tile(kBlock, head_dim)),
        maximum(scratch.take<float>(kBlock)),
        sum(scratch.take<float>(kBlock)) {}

  Tile query;           // [queries, D], scaled
  Tile key;             // [keys, D]
  Tile key_transposed;  // [D, keys]
  Tile value;           // [keys, D]
  Tile scores;          // [queries, keys], then probabilities relative to the running maximum
  Tile output;          // [queries, D], not yet divided by the sum
  float* maximum;       // [queries]
  float* sum;           // [queries]
};

// Rows [first, first + count) of the call: one sequence's, or one idle row.
struct RowRun {
  int64_t first;
  int64_t count;
  int64_t longest;  // of their contexts

  // For one head: about its pairs of a query and a key.
  int64_t work() const { return count * std::max<int64_t>(1, longest); }
};

// What a worker does at a time: of the rows of a run, heads of one group.
struct Item {
  RowRun run;
  int64_t first_head;
  int64_t heads;
};

int64_t cut_into_runs(RowRun* runs, const DecodeAttention& args, int64_t max_rows) {
  const int64_t rows = args.output.shape[0];
  const int32_t* sequences = args.row_sequences.as<int32_t>();
  const int32_t* contexts = args.context_lengths.as<int32_t>();
  int64_t total = 0;
  for (int64_t first = 0; first < rows;) {
    int64_t end = first + 1;
    while (contexts[first] > 0 && end < rows && end - first < max_rows && contexts[end] > 0 &&
           sequences[end] == sequences[first]) {
      ++end;
    }
    runs[total++] = {first, end - first, *std::max_element(contexts + first, contexts + end)};
    first = end;
  }
  return total;
}

// Turns the scores of one query, of which the first `visible` are its own, into exp(score -
// maximum); the earlier output is scaled to the new maximum. Always kBlock wide, so that the order
// of the sum is fixed.
void online_softmax(const DecodeTiles& tiles, int64_t query, int64_t visible) {
  float* scores = tiles.scores.row(query);
  std::fill(scores + visible, scores + kBlock, -std::numeric_limits<float>::infinity());
  float maximum = tiles.maximum[query];
#pragma omp simd reduction(max : maximum)
  for (int64_t k = 0; k < kBlock; ++k) maximum = scores[k] > maximum ? scores[k] : maximum;
  float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
  for (int64_t k = 0; k < kBlock; ++k) {
    scores[k] = fast_exp(scores[k] - maximum);
    sum += scores[k];
  }
  const float correction = fast_exp(tiles.maximum[query] - maximum);
  tiles.output.scale_row(query, correction);
  tiles.sum[query] = tiles.sum[query] * correction + sum;
  tiles.maximum[query] = maximum;
}

CachedHead cached_head(const DecodeAttention& args, const Item& item) {
  return {args.keys, args.block_tables, args.row_sequences.as<int32_t>()[item.run.first],
          item.first_head / (args.n_heads / args.n_kv_heads)};
}

// Asks for the block of positions that is used after the one at `begin`: the item's own, or the
// first of the next item. The rows of a head that lie together are too few for the hardware to see
// ahead.
template <typename T>
void prefetch_after(const DecodeAttention& args, int64_t begin, const Item& item,
                    const Item* next) {
  const bool is_own = begin + kBlock < item.run.longest;
  if (!is_own && next == nullptr) return;
  const Item& owner = is_own ? item : *next;
  const int64_t first = is_own ? begin + kBlock : 0;
  const int64_t count = std::min<int64_t>(kBlock, owner.run.longest - first);
  const CachedHead cached = cached_head(args, owner);
  cached.prefetch(args.keys.as<T>(), first, count);
  cached.prefetch(args.values.as<T>(), first, count);
}

template <typename T>
void attend(const DecodeAttention& args, const DecodeTiles& tiles, const Item& item,
            const Item* next) {
  const auto& [run, first_head, heads] = item;
  const int64_t head_dim = args.keys.shape[3];
  const int32_t* contexts = args.context_lengths.as<int32_t>() + run.first;
  const int64_t output_stride = args.output.shape[1];
  T* output = args.output.as<T>() + run.first * output_stride + first_head * head_dim;
  if (contexts[0] == 0) {
    std::fill(output, output + heads * head_dim, T(0.0f));
    return;
  }

  const int64_t qkv_stride = args.qkv.shape[1];
  const T* queries = args.qkv.as<T>() + run.first * qkv_stride + first_head * head_dim;
  const int64_t query_count = run.count * heads;
  for (int64_t row = 0; row < run.count; ++row) {
    load_tile(tiles.query.from_row(row * heads), queries + row * qkv_stride, head_dim, heads,
              head_dim);
  }
  for (int64_t q = 0; q < query_count; ++q) tiles.query.scale_row(q, args.scale);
  std::fill(tiles.output.data, tiles.output.row(query_count), 0.0f);
  std::fill(tiles.maximum, tiles.maximum + query_count, -std::numeric_limits<float>::infinity());
  std::fill(tiles.sum, tiles.sum + query_count, 0.0f);

  const CachedHead cached = cached_head(args, item);
  for (int64_t begin = 0; begin < run.longest; begin += kBlock) {
    prefetch_after<T>(args, begin, item, next);
    const int64_t keys = std::min<int64_t>(kBlock, run.longest - begin);
    cached.for_each_piece(tiles.key, args.keys.as<T>(), begin, keys,
                          [&](auto key, int64_t done, int64_t rows) {
                            const Tile& all = tiles.key_transposed;
                            transpose({all.data + done, all.stride}, key, rows, head_dim);
                          });
    multiply<false>(tiles.scores, tiles.query, tiles.key_transposed, query_count, keys, head_dim,
                    false, Part::all);
    for (int64_t q = 0; q < query_count; ++q) {
      online_softmax(tiles, q, std::clamp<int64_t>(contexts[q / heads] - begin, 0, keys));
    }
    cached.for_each_piece(
        tiles.value, args.values.as<T>(), begin, keys, [&](auto value, int64_t done, int64_t rows) {
          multiply<false>(tiles.output, {tiles.scores.data + done, tiles.scores.stride}, value,
                          query_count, head_dim, rows, true, Part::all);
        });
  }

  for (int64_t q = 0; q < query_count; ++q) tiles.output.scale_row(q, 1.0f / tiles.sum[q]);
  for (int64_t row = 0; row < run.count; ++row) {
    store_tile(output + row * output_stride, head_dim, tiles.output.from_row(row * heads), heads,
               head_dim);
  }
}

size_t tiles_bytes(int64_t head_dim) {
  Scratch scratch;
  DecodeTiles(scratch, head_dim);
  return scratch.bytes();
}

}  // namespace

void kv_cache_write(const KvCacheWrite& args) {
  const int64_t head_dim = args.keys.shape[3];
  const int64_t stride = args.qkv.shape[1];
  const int32_t* contexts = args.context_lengths.as<int32_t>();
  const int32_t* sequences = args.row_sequences.as<int32_t>();
  for (int64_t row = 0; row < args.qkv.shape[0]; ++row) {
    CRIA_ASSERT(contexts[row] <= args.rope_table.shape[0]);
  }
  visit_dtype(args.qkv.dtype, [&]<typename T>() {
    parallel_for(args.qkv.shape[0], kRowsPerThread, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        if (contexts[row] == 0) continue;
        T* queries = args.qkv.as<T>() + row * stride;
        rotate_heads(queries, args.n_heads + args.n_kv_heads, head_dim / 2,
                     args.rope_table.as<float>() + (contexts[row] - 1) * head_dim, 1.0f);
        const T* keys = queries + args.n_heads * head_dim;
        const T* values = keys + args.n_kv_heads * head_dim;
        for (int64_t head = 0; head < args.n_kv_heads; ++head) {
          const CachedHead cached(args.keys, args.block_tables, sequences[row], head);
          const int64_t target = cached.offset(contexts[row] - 1);
          std::copy_n(keys + head * head_dim, head_dim, args.keys.as<T>() + target);
          std::copy_n(values + head * head_dim, head_dim, args.values.as<T>() + target);
        }
      }
    });
  });
}

size_t decode_attention_workspace_bytes(int64_t rows, int64_t, int, int head_dim) {
  Scratch scratch;
  scratch.take<RowRun>(rows);
  return scratch.bytes() + static_cast<size_t>(thread_count()) * tiles_bytes(head_dim);
}

void decode_attention(const DecodeAttention& args) {
  const int64_t rows = args.output.shape[0];
  const int64_t head_dim = args.keys.shape[3];
  CRIA_ASSERT(args.workspace.bytes() >=
              decode_attention_workspace_bytes(rows, 0, args.n_heads, static_cast<int>(head_dim)));
  // With fewer key/value heads than threads, the heads of a group go their own ways.
  const int64_t group = args.n_heads / args.n_kv_heads;
  const int64_t heads =
      rows * args.n_kv_heads >= thread_count() ? std::min<int64_t>(group, kBlock) : 1;
  const int64_t chunks_per_group = (group + heads - 1) / heads;
  const int64_t items_per_run = args.n_kv_heads * chunks_per_group;

  Scratch scratch(args.workspace.data);
  RowRun* runs = scratch.take<RowRun>(rows);
  const int64_t items = cut_into_runs(runs, args, kBlock / heads) * items_per_run;
  const auto item_at = [&](int64_t index) {
    const int64_t kv_head = index % items_per_run / chunks_per_group;
    const int64_t first = index % chunks_per_group * heads;
    return Item{.run = runs[index / items_per_run],
                .first_head = kv_head * group + first,
                .heads = std::min(heads, group - first)};
  };
  uint8_t* thread_scratch = scratch.take<uint8_t>(0);
  visit_dtype(args.qkv.dtype, [&]<typename T>() {
    const auto work = [&](int64_t index) { return runs[index / items_per_run].work(); };
    parallel_for_shares(items, work, [&](int64_t index) {
      Scratch own(thread_scratch +
                  static_cast<size_t>(omp_get_thread_num()) * tiles_bytes(head_dim));
      const DecodeTiles tiles(own, head_dim);
      const Item next = item_at(std::min(index + 1, items - 1));
      attend<T>(args, tiles, item_at(index), index + 1 < items ? &next : nullptr);
    });
  });
}

}  // namespace cria::cpu
