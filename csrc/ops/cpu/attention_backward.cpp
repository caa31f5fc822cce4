// Keys and queries of a sequence are cut into spans of the same length. In phase p the worker of
// key span j meets query span j + p: no two workers of a phase touch the same gradients, and every
// gradient is summed in the order of the phases, whatever the number of threads. Sequences of one
// span, the usual case in training, need one phase.
//
// A gradient that several phases add to waits in fp32 in between: in qkv_gradient itself where that
// is fp32, else in the workspace.
#include "cria/core/parallel.h"

#include "attention_tiles.h"
#include "cpu_ops.h"

namespace cria::cpu {

namespace {

using namespace attention;

constexpr int64_t kSpan = 256;  // rows; a multiple of kBlock whose key tiles stay in the L2 cache

struct BackwardTiles {
  BackwardTiles(Scratch& scratch, int64_t head_dim)
      : key(scratch.tile(kSpan, head_dim)),
        value(scratch.tile(kSpan, head_dim)),
        key_gradient(scratch.tile(kSpan, head_dim)),
        value_gradient(scratch.tile(kSpan, head_dim)),
        query(scratch.tile(kBlock, head_dim)),
        query_transposed(scratch.tile(padded(head_dim), kBlock)),
        query_gradient(scratch.tile(kBlock, head_dim)),
        output(scratch.tile(kBlock, head_dim)),
        output_gradient(scratch.tile(kBlock, head_dim)),
        output_gradient_transposed(scratch.tile(padded(head_dim), kBlock)),
        probability(scratch.tile(kBlock, kBlock)),
        score_gradient(scratch.tile(kBlock, kBlock)),
        log_sum_exp(scratch.take<float>(kBlock)),
        dot(scratch.take<float>(kBlock)) {}

  Tile key, value, key_gradient, value_gradient;  // [keys of the span, D]
  Tile query;                                     // [queries, D]
  Tile query_transposed;                          // [D, queries]
  Tile query_gradient;                            // [queries, D]
  Tile output, output_gradient;                   // [queries, D]
  Tile output_gradient_transposed;                // [D, queries]
  Tile probability;                               // [keys, queries]
  Tile score_gradient;                            // [keys, queries]
  float* log_sum_exp;                             // [queries]
  float* dot;                                     // [queries]: sum(output_gradient * output)
};

// Part of the gradient of one head, in storage and in fp32 between the phases. Both have the layout
// of qkv_gradient.
template <typename T>
struct GradientRows {
  T* storage;
  float* between_phases;
  int64_t stride;

  GradientRows from_row(int64_t row) const {
    return {storage + row * stride, between_phases + row * stride, stride};
  }
  void load(Tile tile, int64_t rows, int64_t head_dim, bool first) const {
    if (first) {
      std::fill(tile.data, tile.row(rows), 0.0f);
    } else {
      load_tile(tile, between_phases, stride, rows, head_dim);
    }
  }
  void store(Tile tile, int64_t rows, int64_t head_dim, bool last) const {
    if (last) {
      store_tile(storage, stride, tile, rows, head_dim);
    } else {
      store_tile(between_phases, stride, tile, rows, head_dim);
    }
  }
};

template <typename T>
class SpanPair {
 public:
  SpanPair(const AttentionBackward& args, float* between_phases, const BackwardTiles& tiles,
           const Stretch& keys, int64_t phase, int64_t kv_head)
      : args_(args),
        tiles_(tiles),
        head_dim_(args.output.shape[1] / args.n_heads),
        sequence_begin_(keys.sequence_begin),
        sequence_rows_(keys.sequence_end - keys.sequence_begin),
        between_phases_(between_phases),
        first_key_(keys.index * kSpan),
        key_count_(std::min(kSpan, sequence_rows_ - first_key_)),
        first_query_(first_key_ + phase * kSpan),
        query_count_(std::min(kSpan, sequence_rows_ - first_query_)),
        first_phase_(phase == 0),
        last_of_keys_(keys.index + phase == keys.count - 1),
        last_of_queries_(keys.index == 0),
        kv_head_(kv_head) {}

  void run() {
    const int64_t stride = args_.qkv.shape[1];
    const int64_t group = args_.n_heads / args_.n_kv_heads;
    const int64_t key_column = args_.n_heads + kv_head_;
    const int64_t value_column = key_column + args_.n_kv_heads;
    load_tile(tiles_.key, values_of(key_column) + first_key_ * stride, stride, key_count_,
              head_dim_);
    load_tile(tiles_.value, values_of(value_column) + first_key_ * stride, stride, key_count_,
              head_dim_);
    const GradientRows<T> key_gradient = gradient_of(key_column).from_row(first_key_);
    const GradientRows<T> value_gradient = gradient_of(value_column).from_row(first_key_);
    key_gradient.load(tiles_.key_gradient, key_count_, head_dim_, first_phase_);
    value_gradient.load(tiles_.value_gradient, key_count_, head_dim_, first_phase_);
    for (int64_t head = kv_head_ * group; head < (kv_head_ + 1) * group; ++head) {
      for (int64_t query = 0; query < query_count_; query += kBlock) query_block(head, query);
    }
    key_gradient.store(tiles_.key_gradient, key_count_, head_dim_, last_of_keys_);
    value_gradient.store(tiles_.value_gradient, key_count_, head_dim_, last_of_keys_);
  }

 private:
  const T* values_of(int64_t column) const {
    return args_.qkv.as<T>() + sequence_begin_ * args_.qkv.shape[1] + column * head_dim_;
  }
  GradientRows<T> gradient_of(int64_t column) const {
    const int64_t stride = args_.qkv.shape[1];
    const int64_t offset = sequence_begin_ * stride + column * head_dim_;
    return {args_.qkv_gradient.as<T>() + offset, between_phases_ + offset, stride};
  }

  void query_block(int64_t head, int64_t query_in_span) {
    const int64_t query = first_query_ + query_in_span;
    const int64_t rows = std::min<int64_t>(kBlock, query_count_ - query_in_span);
    const int64_t queries = padded(rows);
    load_queries(head, query, rows);
    const GradientRows<T> query_gradient = gradient_of(head).from_row(query);
    query_gradient.load(tiles_.query_gradient, rows, head_dim_, first_phase_);

    for (int64_t key = 0; key < key_count_ && first_key_ + key <= query; key += kBlock) {
      const bool diagonal = first_key_ + key == query;
      const int64_t keys = std::min<int64_t>(kBlock, key_count_ - key);
      const Part scores = diagonal ? Part::columns_from_row : Part::all;
      const Part over_queries = diagonal ? Part::depth_from_row : Part::all;
      const Part over_keys = diagonal ? Part::depth_to_row : Part::all;
      const Tile key_tile = tiles_.key.from_row(key);
      multiply<false>(tiles_.probability, key_tile, tiles_.query_transposed, keys, queries,
                      head_dim_, false, scores);
      multiply<false>(tiles_.score_gradient, tiles_.value.from_row(key),
                      tiles_.output_gradient_transposed, keys, queries, head_dim_, false, scores);
      differentiate_softmax(keys, queries, diagonal);
      multiply<false>(tiles_.value_gradient.from_row(key), tiles_.probability,
                      tiles_.output_gradient, keys, head_dim_, rows, true, over_queries);
      multiply<false>(tiles_.key_gradient.from_row(key), tiles_.score_gradient, tiles_.query, keys,
                      head_dim_, rows, true, over_queries);
      multiply<true>(tiles_.query_gradient, tiles_.score_gradient, key_tile, rows, head_dim_, keys,
                     true, over_keys);
    }
    query_gradient.store(tiles_.query_gradient, rows, head_dim_, last_of_queries_);
  }

  void load_queries(int64_t head, int64_t query, int64_t rows) {
    const int64_t tokens = args_.qkv.shape[0];
    const int64_t qkv_stride = args_.qkv.shape[1];
    const int64_t output_stride = args_.output.shape[1];
    const int64_t token = sequence_begin_ + query;
    const int64_t offset = token * output_stride + head * head_dim_;
    load_tile(tiles_.query, values_of(head) + query * qkv_stride, qkv_stride, rows, head_dim_);
    load_tile(tiles_.output, args_.output.as<T>() + offset, output_stride, rows, head_dim_);
    load_tile(tiles_.output_gradient, args_.output_gradient.as<T>() + offset, output_stride, rows,
              head_dim_);
    transpose(tiles_.query_transposed, tiles_.query, rows, head_dim_);
    transpose(tiles_.output_gradient_transposed, tiles_.output_gradient, rows, head_dim_);
    const float* log_sum_exp = args_.log_sum_exp.as<float>() + head * tokens + token;
    std::copy(log_sum_exp, log_sum_exp + rows, tiles_.log_sum_exp);
    for (int64_t q = 0; q < rows; ++q) {
      const float* output = tiles_.output.row(q);
      const float* output_gradient = tiles_.output_gradient.row(q);
      float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
      for (int64_t c = 0; c < tiles_.output.stride; ++c) sum += output[c] * output_gradient[c];
      tiles_.dot[q] = sum;
    }
  }

  // From q k^T and do v^T to p and ds.
  void differentiate_softmax(int64_t keys, int64_t queries, bool diagonal) {
    const float scale = args_.scale;
    const float* log_sum_exp = tiles_.log_sum_exp;
    const float* dot = tiles_.dot;
    for (int64_t k = 0; k < keys; ++k) {
      float* probability = tiles_.probability.row(k);
      float* score_gradient = tiles_.score_gradient.row(k);
      const int64_t first = diagonal ? k / kLanes * kLanes : 0;
#pragma omp simd
      for (int64_t q = first; q < queries; ++q) {
        probability[q] = fast_exp(scale * probability[q] - log_sum_exp[q]);
        score_gradient[q] = scale * probability[q] * (score_gradient[q] - dot[q]);
      }
      if (diagonal) {
        std::fill(probability + first, probability + k, 0.0f);
        std::fill(score_gradient + first, score_gradient + k, 0.0f);
      }
    }
  }

  const AttentionBackward& args_;
  const BackwardTiles& tiles_;
  const int64_t head_dim_;
  const int64_t sequence_begin_;
  const int64_t sequence_rows_;
  float* const between_phases_;
  const int64_t first_key_;  // in the sequence
  const int64_t key_count_;
  const int64_t first_query_;
  const int64_t query_count_;
  const bool first_phase_;
  const bool last_of_keys_;
  const bool last_of_queries_;
  const int64_t kv_head_;
};

size_t tiles_bytes(int64_t head_dim) {
  Scratch scratch;
  BackwardTiles(scratch, head_dim);
  return scratch.bytes();
}

}  // namespace

size_t attention_backward_workspace_bytes(int64_t tokens, int n_heads, int n_kv_heads, int head_dim,
                                          DType dtype) {
  Scratch scratch;
  scratch.take<Stretch>(max_stretches(tokens));
  if (dtype != DType::f32) scratch.take<float>(tokens * (n_heads + 2 * n_kv_heads) * head_dim);
  return scratch.bytes() + static_cast<size_t>(thread_count()) * tiles_bytes(head_dim);
}

void attention_backward(const AttentionBackward& args) {
  const int64_t tokens = args.qkv.shape[0];
  const int head_dim = static_cast<int>(args.output.shape[1] / args.n_heads);
  CRIA_ASSERT(args.workspace.bytes() >=
              attention_backward_workspace_bytes(tokens, args.n_heads, args.n_kv_heads, head_dim,
                                                 args.qkv.dtype));
  Scratch scratch(args.workspace.data);
  Stretch* spans = scratch.take<Stretch>(max_stretches(tokens));
  const int64_t span_count = cut_into_stretches(spans, args.sequence_offsets, kSpan);
  float* between_phases = args.qkv.dtype == DType::f32 ? args.qkv_gradient.as<float>()
                                                       : scratch.take<float>(args.qkv.size());
  uint8_t* thread_scratch = scratch.take<uint8_t>(0);
  int64_t phases = 0;
  for (int64_t s = 0; s < span_count; ++s) phases = std::max<int64_t>(phases, spans[s].count);

  visit_dtype(args.qkv.dtype, [&]<typename T>() {
    for (int64_t phase = 0; phase < phases; ++phase) {
      parallel_for_each(span_count * args.n_kv_heads, [&](int64_t item) {
        const Stretch& keys = spans[item % span_count];
        if (keys.index + phase >= keys.count) return;
        Scratch own(thread_scratch +
                    static_cast<size_t>(omp_get_thread_num()) * tiles_bytes(head_dim));
        const BackwardTiles tiles(own, head_dim);
        SpanPair<T>(args, between_phases, tiles, keys, phase, item / span_count).run();
      });
    }
  });
  if (args.rope_table) {
    rope_backward({.qkv_gradient = args.qkv_gradient,
                   .positions = args.positions,
                   .table = args.rope_table,
                   .n_heads = args.n_heads,
                   .n_kv_heads = args.n_kv_heads});
  }
}

}  // namespace cria::cpu
