// A worker takes one query block of one head and goes over the key blocks up to its own, keeping
// for each query the running maximum and sum of the online softmax.
#include <cmath>
#include <limits>

#include "cria/core/parallel.h"

#include "attention_tiles.h"
#include "cpu_ops.h"

namespace cria::cpu {

namespace {

using namespace attention;

struct ForwardTiles {
  ForwardTiles(Scratch& scratch, int64_t head_dim)
      : query(scratch.tile(kBlock, head_dim)),
        query_transposed(scratch.tile(padded(head_dim), kBlock)),
        key(scratch.tile(kBlock, head_dim)),
        value(scratch.tile(kBlock, head_dim)),
        scores(scratch.tile(kBlock, kBlock)),
        output(scratch.tile(kBlock, head_dim)),
        maximum(scratch.take<float>(kBlock)),
        sum(scratch.take<float>(kBlock)),
        correction(scratch.take<float>(kBlock)) {}

  Tile query;             // [queries, D], scaled
  Tile query_transposed;  // [D, queries]
  Tile key;               // [keys, D]
  Tile value;             // [keys, D]
  Tile scores;            // [keys, queries], then probabilities relative to the running maximum
  Tile output;            // [queries, D], not yet divided by the sum
  float* maximum;         // [queries]
  float* sum;             // [queries]
  float* correction;      // [queries]
};

// Turns scores into exp(score - maximum), with the maximum and the sum brought up to date and in
// `correction` what the earlier output must be multiplied by.
void online_softmax(const ForwardTiles& tiles, int64_t keys, int64_t queries, bool diagonal) {
  float* maximum = tiles.maximum;
  float* sum = tiles.sum;
  float* correction = tiles.correction;
  std::copy(maximum, maximum + queries, correction);
  for (int64_t k = 0; k < keys; ++k) {
    float* scores = tiles.scores.row(k);
    const int64_t first = diagonal ? k / kLanes * kLanes : 0;
    if (diagonal) std::fill(scores + first, scores + k, -std::numeric_limits<float>::infinity());
#pragma omp simd
    for (int64_t q = first; q < queries; ++q) {
      maximum[q] = scores[q] > maximum[q] ? scores[q] : maximum[q];
    }
  }
#pragma omp simd
  for (int64_t q = 0; q < queries; ++q) {
    correction[q] = fast_exp(correction[q] - maximum[q]);
    sum[q] *= correction[q];
  }
  for (int64_t k = 0; k < keys; ++k) {
    float* scores = tiles.scores.row(k);
#pragma omp simd
    for (int64_t q = diagonal ? k / kLanes * kLanes : 0; q < queries; ++q) {
      scores[q] = fast_exp(scores[q] - maximum[q]);
      sum[q] += scores[q];
    }
  }
}

template <typename T>
void forward_block(const AttentionForward& args, const ForwardTiles& tiles, const Stretch& block,
                   int64_t head) {
  const int64_t tokens = args.qkv.shape[0];
  const int64_t head_dim = args.output.shape[1] / args.n_heads;
  const int64_t qkv_stride = args.qkv.shape[1];
  const int64_t kv_head = head / (args.n_heads / args.n_kv_heads);
  const T* sequence = args.qkv.as<T>() + block.sequence_begin * qkv_stride;
  const T* all_queries = sequence + head * head_dim;
  const T* all_keys = sequence + (args.n_heads + kv_head) * head_dim;
  const T* all_values = all_keys + args.n_kv_heads * head_dim;

  const int64_t first = int64_t{block.index} * kBlock;
  const int64_t rows = std::min<int64_t>(kBlock, block.sequence_end - block.sequence_begin - first);
  const int64_t queries = padded(rows);
  load_tile(tiles.query, all_queries + first * qkv_stride, qkv_stride, rows, head_dim);
  for (int64_t q = 0; q < rows; ++q) tiles.query.scale_row(q, args.scale);
  transpose(tiles.query_transposed, tiles.query, rows, head_dim);
  std::fill(tiles.maximum, tiles.maximum + queries, -std::numeric_limits<float>::infinity());
  std::fill(tiles.sum, tiles.sum + queries, 0.0f);

  for (int64_t start = 0; start <= first; start += kBlock) {
    const bool diagonal = start == first;
    const int64_t keys = diagonal ? rows : kBlock;
    load_tile(tiles.key, all_keys + start * qkv_stride, qkv_stride, keys, head_dim);
    load_tile(tiles.value, all_values + start * qkv_stride, qkv_stride, keys, head_dim);
    multiply<false>(tiles.scores, tiles.key, tiles.query_transposed, keys, queries, head_dim, false,
                    diagonal ? Part::columns_from_row : Part::all);
    online_softmax(tiles, keys, queries, diagonal);
    if (start > 0) {
      for (int64_t q = 0; q < rows; ++q) tiles.output.scale_row(q, tiles.correction[q]);
    }
    multiply<true>(tiles.output, tiles.scores, tiles.value, rows, head_dim, keys, start > 0,
                   diagonal ? Part::depth_to_row : Part::all);
  }

  const int64_t first_token = block.sequence_begin + first;
  float* log_sum_exp = args.log_sum_exp.as<float>() + head * tokens + first_token;
  for (int64_t q = 0; q < rows; ++q) {
    log_sum_exp[q] = tiles.maximum[q] + std::log(tiles.sum[q]);
    tiles.output.scale_row(q, 1.0f / tiles.sum[q]);
  }
  const int64_t output_stride = args.output.shape[1];
  store_tile(args.output.as<T>() + first_token * output_stride + head * head_dim, output_stride,
             tiles.output, rows, head_dim);
}

size_t tiles_bytes(int64_t head_dim) {
  Scratch scratch;
  ForwardTiles(scratch, head_dim);
  return scratch.bytes();
}

}  // namespace

size_t attention_workspace_bytes(int64_t tokens, int, int, int head_dim, DType) {
  Scratch scratch;
  scratch.take<Stretch>(max_stretches(tokens));
  return scratch.bytes() + static_cast<size_t>(thread_count()) * tiles_bytes(head_dim);
}

void attention_forward(const AttentionForward& args) {
  const int64_t tokens = args.qkv.shape[0];
  const int head_dim = static_cast<int>(args.output.shape[1] / args.n_heads);
  CRIA_ASSERT(args.workspace.bytes() >= attention_workspace_bytes(tokens, args.n_heads,
                                                                  args.n_kv_heads, head_dim,
                                                                  args.qkv.dtype));
  Scratch scratch(args.workspace.data);
  Stretch* blocks = scratch.take<Stretch>(max_stretches(tokens));
  const int64_t block_count = cut_into_stretches(blocks, args.sequence_offsets, kBlock);
  uint8_t* thread_scratch = scratch.take<uint8_t>(0);

  visit_dtype(args.qkv.dtype, [&]<typename T>() {
    const auto key_blocks = [&](int64_t item) { return blocks[item / args.n_heads].index + 1; };
    parallel_for_shares(block_count * args.n_heads, key_blocks, [&](int64_t item) {
      Scratch own(thread_scratch +
                  static_cast<size_t>(omp_get_thread_num()) * tiles_bytes(head_dim));
      const ForwardTiles tiles(own, head_dim);
      forward_block<T>(args, tiles, blocks[item / args.n_heads], item % args.n_heads);
    });
  });
}

}  // namespace cria::cpu
