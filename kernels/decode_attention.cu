// Attention over the block cache of keys and values, split over the context.
//
// A block of 128 threads takes one split, kSplit positions, of one key/value head for up to 8
// queries: the heads of a group, and where rows of a call share sequences (prefill) neighbouring
// rows too. kLanes lanes share a position, 8 elements each, in pieces of 16 bytes that lie beside
// those of the other lanes: scores of the whole split into shared
// memory, its softmax, then the weighted values, added up over the positions of a group of lanes,
// the groups of a warp and the warps, in this order. A context of several splits leaves its parts
// in the workspace, and a second kernel combines them in the order of the splits.
//
// Splits have a fixed size, and a query's arithmetic is the same whoever shares its block (fmaf by
// name: no compiler chooses what to contract): so its bits depend on its own context alone. Keys
// and values are read once for each block, as the memory traffic of decoding is theirs; 4 (D + 2)
// bytes per head and split are written and read besides.
#include <algorithm>

#include "kernels/attention_tile.h"
#include "kernels/cache_layout.h"
#include "kernels/ops.h"

namespace cria::CRIA_GPU {

namespace {

using namespace attention;

constexpr int kSplit = 256;
constexpr int kMaxQueries = 8;
constexpr int kThreads = 128;
constexpr int kWarps = kThreads / kWarpSize;
constexpr int kPiece = 8;  // elements of a position that a lane holds

// The first column of 4 of them, the lower or the upper half.
template <typename T, int kLanes>
__device__ int column_of(int lane_of_position, int half) {
  return sizeof(T) == 4 ? 4 * (half * kLanes + lane_of_position) : 8 * lane_of_position + 4 * half;
}

template <typename T, int kLanes>
__device__ Vector<float, kPiece> load_piece(const T* row, int lane_of_position, int columns,
                                            bool vectorized) {
  const int first = column_of<T, kLanes>(lane_of_position, 0);
  if constexpr (sizeof(T) == 2) {
    return load_columns<kPiece>(row, first, columns, vectorized);
  } else {
    const int second = column_of<T, kLanes>(lane_of_position, 1);
    const auto low = load_columns<4>(row, first, columns, vectorized);
    const auto high = load_columns<4>(row, second, columns, vectorized);
    return {low[0], low[1], low[2], low[3], high[0], high[1], high[2], high[3]};
  }
}

__host__ __device__ constexpr int splits_of(int context) { return (context + kSplit - 1) / kSplit; }

template <typename T>
struct Parameters {
  T* output;
  const T* qkv;
  const T* keys;
  const T* values;
  CacheLayout cache;
  const int32_t* row_sequences;
  const int32_t* context_lengths;
  float*
      partial_outputs;  // [rows, n_heads, splits, D]: sum of weight value, by the split's maximum
  float* partial_sums;  // [rows, n_heads, splits, 2]: maximum of the scores, sum of the weights
  int rows;
  int n_heads;
  int splits;
  int rows_per_block;
  int heads_per_block;
  float scale;
  bool vectorized;

  __device__ float weight(float score, float maximum) const {
    return fast_exp2((score - maximum) * (scale * kLog2E));
  }
  __device__ int64_t partial(int64_t row, int head, int split) const {
    return (row * n_heads + head) * splits + split;
  }
};

// Neighbouring rows of one sequence, or one idle row.
struct Run {
  int first;
  int rows;
  int longest;  // context; 0: idle
};

template <typename T>
__device__ Run find_run(const Parameters<T>& p, int first, int end) {
  Run run{first, 1, p.context_lengths[first]};
  while (run.longest > 0 && first + run.rows < end) {
    const int row = first + run.rows, context = p.context_lengths[row];
    if (context == 0 || p.row_sequences[row] != p.row_sequences[first]) break;
    if (context > run.longest) run.longest = context;
    ++run.rows;
  }
  return run;
}

// The queries of a block: heads_per_block heads, or those that are left of the group, of each row.
struct Queries {
  int kv_head;
  int first_head;
  int heads;
};

template <typename T, int kQueries, int kLanes>
__device__ void attend(const Parameters<T>& p, const Run& run, const Queries& queries, int split) {
  constexpr int kGroups = kThreads / kLanes;  // positions at a time
  constexpr int kColumns = kLanes * kPiece;
  __shared__ SharedArray<int64_t, kSplit> offsets;
  __shared__ SharedArray<float, kQueries * kSplit> scores;  // then weights
  __shared__ SharedArray<float, kQueries> maxima;
  __shared__ SharedArray<float, kQueries> sums;
  __shared__ SharedArray<float, kWarps * kQueries * kColumns> warp_outputs;

  const int thread = static_cast<int>(threadIdx.x);
  const int head_dim = p.cache.head_dim;
  const int begin = split * kSplit;
  const int count = run.longest - begin < kSplit ? run.longest - begin : kSplit;
  const auto row_of = [&](int query) { return run.first + query / p.heads_per_block; };
  const auto head_of = [&](int query) { return queries.first_head + query % p.heads_per_block; };
  const auto exists = [&](int query) {
    return query / p.heads_per_block < run.rows && query % p.heads_per_block < queries.heads;
  };

  // What the threads of an earlier run may still read is not written before the next barrier.
  for (int i = thread; i < count; i += kThreads) {
    offsets[i] = p.cache.element(p.row_sequences[run.first], begin + i, queries.kv_head);
  }
  const int lane_of_position = thread % kLanes, group = thread / kLanes;
  int visible[kQueries];  // positions of the split
  Vector<float, kPiece> query[kQueries];
#pragma unroll
  for (int i = 0; i < kQueries; ++i) {
    const int64_t row = row_of(i);
    visible[i] = exists(i) ? p.context_lengths[row] - begin : 0;
    const int64_t head = row * (p.n_heads + 2 * p.cache.n_kv_heads) + head_of(i);
    query[i] = load_piece<T, kLanes>(p.qkv + head * head_dim, lane_of_position,
                                     exists(i) ? head_dim : 0, p.vectorized);
  }
  __syncthreads();

#pragma unroll 2
  for (int base = 0; base < count; base += kGroups) {
    const int position = base + group;
    Vector<float, kPiece> key = {};
    if (position < count) {
      key = load_piece<T, kLanes>(p.keys + offsets[position], lane_of_position, head_dim,
                                  p.vectorized);
    }
#pragma unroll
    for (int i = 0; i < kQueries; ++i) {
      float score = 0.0f;
#pragma unroll
      for (int e = 0; e < kPiece; ++e) score = fmaf(query[i][e], key[e], score);
      score = warp_sum<kLanes>(score);
      if (lane_of_position == 0 && position < count) {
        scores[i * kSplit + position] = position < visible[i] ? score : -INFINITY;
      }
    }
  }
  __syncthreads();

  for (int i = warp_index(); i < kQueries; i += kWarps) {
    float maximum = -INFINITY, sum = 0.0f;
    for (int k = lane(); k < count; k += kWarpSize)
      maximum = fmaxf(maximum, scores[i * kSplit + k]);
    maximum = warp_max(maximum);
    for (int k = lane(); k < count; k += kWarpSize) {
      float& score = scores[i * kSplit + k];
      score = maximum == -INFINITY ? 0.0f : p.weight(score, maximum);
      sum += score;
    }
    sum = warp_sum(sum);
    if (lane() == 0) {
      maxima[i] = maximum;
      sums[i] = sum;
    }
  }
  __syncthreads();

  float output[kQueries][kPiece] = {};
#pragma unroll 2
  for (int position = group; position < count; position += kGroups) {
    const auto value = load_piece<T, kLanes>(p.values + offsets[position], lane_of_position,
                                             head_dim, p.vectorized);
#pragma unroll
    for (int i = 0; i < kQueries; ++i) {
      const float weight = scores[i * kSplit + position];
#pragma unroll
      for (int e = 0; e < kPiece; ++e) output[i][e] = fmaf(weight, value[e], output[i][e]);
    }
  }
#pragma unroll
  for (int i = 0; i < kQueries; ++i) {
#pragma unroll
    for (int e = 0; e < kPiece; ++e) {
#pragma unroll
      for (int offset = kLanes; offset < kWarpSize; offset *= 2) {
        output[i][e] += __shfl_xor_sync(kFullWarp, output[i][e], offset);
      }
    }
    if (lane() >= kLanes) continue;
    // Every other four lanes store their upper half first: so eight lanes are in all banks.
    float* const row = warp_outputs.data() + (warp_index() * kQueries + i) * kColumns;
    const bool swaps = sizeof(T) == 2 && lane() / 4 % 2 == 1;
#pragma unroll
    for (int turn = 0; turn < 2; ++turn) {
      const int half = swaps ? 1 - turn : turn;
      Vector<float, 4> values;
#pragma unroll
      for (int e = 0; e < 4; ++e) values[e] = half == 0 ? output[i][e] : output[i][4 + e];
      store(row + column_of<T, kLanes>(lane(), half), values);
    }
  }
  __syncthreads();

  for (int index = thread; index < kQueries * kColumns; index += kThreads) {
    const int i = index / kColumns, c = index % kColumns;
    if (!exists(i) || c >= head_dim) continue;
    const int64_t row = row_of(i);
    const int context = p.context_lengths[row];
    if (context <= begin) continue;
    float sum = 0.0f;
    for (int warp = 0; warp < kWarps; ++warp)
      sum += warp_outputs[warp * kQueries * kColumns + index];
    if (splits_of(context) == 1) {
      p.output[(row * p.n_heads + head_of(i)) * head_dim + c] = static_cast<T>(sum / sums[i]);
    } else {
      const int64_t partial = p.partial(row, head_of(i), split);
      p.partial_outputs[partial * head_dim + c] = sum;
      if (c > 0) continue;
      p.partial_sums[2 * partial] = maxima[i];
      p.partial_sums[2 * partial + 1] = sums[i];
    }
  }
}

template <typename T, int kQueries, int kLanes>
__global__ void __launch_bounds__(kThreads) split_kernel(Parameters<T> p) {
  const int group = p.n_heads / p.cache.n_kv_heads;
  const int chunks = (group + p.heads_per_block - 1) / p.heads_per_block;
  int item = static_cast<int>(blockIdx.x);
  const int split = item % p.splits;
  item /= p.splits;
  const int chunk_head = item % chunks * p.heads_per_block;  // of the group
  item /= chunks;
  const int kv_head = item % p.cache.n_kv_heads;
  const int heads_left = group - chunk_head;
  const Queries queries{kv_head, kv_head * group + chunk_head,
                        heads_left < p.heads_per_block ? heads_left : p.heads_per_block};
  const int begin = item / p.cache.n_kv_heads * p.rows_per_block;
  const int end = begin + p.rows_per_block < p.rows ? begin + p.rows_per_block : p.rows;
  for (int first = begin; first < end;) {
    const Run run = find_run(p, first, end);
    first += run.rows;
    if (split * kSplit < run.longest) {
      attend<T, kQueries, kLanes>(p, run, queries, split);
    } else if (run.longest == 0 && split == 0) {
      T* const output =
          p.output + (int64_t{run.first} * p.n_heads + queries.first_head) * p.cache.head_dim;
      for (int i = static_cast<int>(threadIdx.x); i < queries.heads * p.cache.head_dim;
           i += kThreads) {
        output[i] = T(0.0f);
      }
    }
  }
}

// A warp combines the splits of one head of a row.
template <typename T>
__global__ void __launch_bounds__(kThreads) combine_kernel(Parameters<T> p) {
  const int64_t item = int64_t{blockIdx.x} * kWarps + warp_index();
  if (item >= int64_t{p.rows} * p.n_heads) return;
  const int splits = splits_of(p.context_lengths[item / p.n_heads]);
  if (splits <= 1) return;  // its block wrote the output itself
  const int64_t partial = item * p.splits;
  const float* const sums = p.partial_sums + 2 * partial;
  float maximum = sums[0];
  for (int split = 1; split < splits; ++split) maximum = fmaxf(maximum, sums[2 * split]);
  float total = 0.0f;
  for (int split = 0; split < splits; ++split) {
    total += sums[2 * split + 1] * p.weight(sums[2 * split], maximum);
  }
  const int head_dim = p.cache.head_dim;
  for (int column = lane(); column < head_dim; column += kWarpSize) {
    float sum = 0.0f;
    for (int split = 0; split < splits; ++split) {
      sum += p.partial_outputs[(partial + split) * head_dim + column] *
             p.weight(sums[2 * split], maximum);
    }
    p.output[item * head_dim + column] = static_cast<T>(sum / total);
  }
}

template <typename T, int kQueries>
void launch_splits(const Parameters<T>& parameters, int64_t blocks, Stream stream) {
  const int head_dim = parameters.cache.head_dim;
  const dim3 grid(static_cast<unsigned>(blocks));
  if (head_dim <= 32) {
    launch(split_kernel<T, kQueries, 4>, grid, kThreads, 0, stream, parameters);
  } else if (head_dim <= 64) {
    launch(split_kernel<T, kQueries, 8>, grid, kThreads, 0, stream, parameters);
  } else if (head_dim <= 128) {
    launch(split_kernel<T, kQueries, 16>, grid, kThreads, 0, stream, parameters);
  } else {
    launch(split_kernel<T, kQueries, 32>, grid, kThreads, 0, stream, parameters);
  }
}

size_t split_bytes(int64_t rows, int n_heads, int head_dim) {
  return static_cast<size_t>(rows * n_heads * (head_dim + 2)) * sizeof(float);
}

}  // namespace

size_t decode_attention_workspace_bytes(int64_t rows, int64_t max_context, int n_heads,
                                        int head_dim) {
  check_head_dim(head_dim);
  const int splits = splits_of(static_cast<int>(max_context));
  return static_cast<size_t>(splits) * split_bytes(rows, n_heads, head_dim);
}

void decode_attention(const DecodeAttention& args, Stream stream) {
  const int64_t rows = args.output.shape[0];
  if (rows == 0) return;
  const CacheLayout cache = layout_of(args.keys, args.block_tables);
  // The tables may have room for more than the longest context that the workspace was made for.
  const size_t one_split = split_bytes(rows, args.n_heads, cache.head_dim);
  const int64_t splits =
      std::min<int64_t>(splits_of(static_cast<int>(cache.max_blocks * cache.block_size)),
                        static_cast<int64_t>(args.workspace.bytes() / one_split));
  CRIA_ASSERT(splits > 0);
  const int group = args.n_heads / args.n_kv_heads;
  const int heads_per_block = std::min(group, kMaxQueries);
  // More rows than sequences: a prefill, whose rows share keys and values.
  const bool rows_share = rows > args.block_tables.shape[0];
  const int rows_per_block = rows_share ? kMaxQueries / heads_per_block : 1;
  const int queries = rows_per_block * heads_per_block;
  const int64_t blocks = (rows + rows_per_block - 1) / rows_per_block * args.n_kv_heads *
                         ((group + heads_per_block - 1) / heads_per_block) * splits;
  visit_dtype(args.qkv.dtype, [&]<typename T>() {
    float* const partial_outputs = static_cast<float*>(args.workspace.data);
    const Parameters<T> parameters{
        .output = args.output.as<T>(),
        .qkv = args.qkv.as<T>(),
        .keys = args.keys.as<T>(),
        .values = args.values.as<T>(),
        .cache = cache,
        .row_sequences = args.row_sequences.as<int32_t>(),
        .context_lengths = args.context_lengths.as<int32_t>(),
        .partial_outputs = partial_outputs,
        .partial_sums = partial_outputs + rows * args.n_heads * splits * cache.head_dim,
        .rows = static_cast<int>(rows),
        .n_heads = args.n_heads,
        .splits = static_cast<int>(splits),
        .rows_per_block = rows_per_block,
        .heads_per_block = heads_per_block,
        .scale = args.scale,
        .vectorized =
            rows_in_vectors<T>(cache.head_dim, {args.qkv.data, args.keys.data, args.values.data})};
    if (queries == 1) {
      launch_splits<T, 1>(parameters, blocks, stream);
    } else if (queries <= 4) {
      launch_splits<T, 4>(parameters, blocks, stream);
    } else {
      launch_splits<T, kMaxQueries>(parameters, blocks, stream);
    }
    if (splits > 1) {
      launch(combine_kernel<T>,
             dim3(static_cast<unsigned>((rows * args.n_heads + kWarps - 1) / kWarps)), kThreads, 0,
             stream, parameters);
    }
  });
}

}  // namespace cria::CRIA_GPU
