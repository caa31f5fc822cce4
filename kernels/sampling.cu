// Next-token sampling: one block a row of logits.
//
// Weights e^((z - max) / temperature) are written to the workspace once; every later step is a pass
// over them, 4 V bytes each from the cache. Both restrictions are one search: the largest bound
// such that what reaches it counts (top_k) or weighs (top_p) enough, found two bits of the float at
// a time, so in 16 passes. Sums are double in a fixed order. Memory: logits once, weights once.
#include "cria/core/random.h"
#include "cria/ops/sampling.h"

#include "kernels/device/block.h"
#include "kernels/device/device.h"
#include "kernels/ops.h"

namespace cria::CRIA_GPU {

namespace {

struct Parameters {
  int32_t* tokens;
  float* logprobs;  // or null
  const float* logits;
  const float* temperatures;
  const int32_t* top_k;
  const float* top_p;
  const int32_t* keys;
  float* weights;  // [R, V]
  int64_t vocab_size;
  uint64_t seed;
};

// An unsigned number that orders as the float does; both zeros are equal.
__device__ inline uint32_t ordered_bits(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value == 0.0f ? 0.0f : value);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

// Ids go round the threads: thread t takes t, t + kThreads, … in every pass.
template <int kThreads, typename Value>
__device__ double row_sum(int64_t count, const Value& value) {
  double sum = 0.0;
  for (int64_t i = threadIdx.x; i < count; i += kThreads) sum += static_cast<double>(value(i));
  return block_sum<kThreads>(sum);
}

// The first id at which the running sum of value(id) exceeds the target; should rounding keep it
// below, the last id with a value.
template <int kThreads, typename Value>
__device__ int64_t first_above(int64_t count, const Value& value, double target) {
  constexpr int kWarps = kThreads / kWarpSize;
  __shared__ SharedArray<double, kWarps> of_warps;
  double before = 0.0;
  int64_t last = 0;
  for (int64_t tile = 0; tile < count; tile += kThreads) {
    const int64_t i = tile + threadIdx.x;
    const double own = i < count ? static_cast<double>(value(i)) : 0.0;
    if (own > 0.0) last = i;
    double running = own;
#pragma unroll
    for (int offset = 1; offset < kWarpSize; offset *= 2) {
      const double other = __shfl_up_sync(kFullWarp, running, static_cast<unsigned>(offset));
      if (lane() >= offset) running += other;
    }
    if (lane() == kWarpSize - 1) of_warps[warp_index()] = running;
    __syncthreads();
    double tile_sum = 0.0;
    for (int warp = 0; warp < kWarps; ++warp) {
      if (warp == warp_index()) running += tile_sum;
      tile_sum += of_warps[warp];
    }
    const bool exceeds = own > 0.0 && before + running > target;
    // Its barriers also part this tile's sums from the next one's.
    const int first = block_max<kThreads>(exceeds ? kThreads - static_cast<int>(threadIdx.x) : 0);
    if (first > 0) return tile + kThreads - first;
    before += tile_sum;
  }
  return block_max<kThreads>(last);
}

// What a restriction keeps: keys above the bound, and of those equal to it ids up to last_tie.
struct Cut {
  uint32_t bound;
  int64_t last_tie;
};

// What the keys from one, two and three steps above a bound weigh.
struct StepSums {
  double one, two, three;

  __device__ uint32_t steps_to(double target) const {
    return three >= target ? 3 : two >= target ? 2 : one >= target ? 1 : 0;
  }
};

template <int kThreads>
__device__ StepSums block_sum(StepSums own) {
  return block_reduce<kThreads>(own, StepSums{0.0, 0.0, 0.0}, [](StepSums sums) {
    return StepSums{warp_sum(sums.one), warp_sum(sums.two), warp_sum(sums.three)};
  });
}

// Filled from the largest key down, lowest ids first, until the kept ones weigh `target`. Equal
// keys have equal weights: weight_of(key).
template <int kThreads, typename Key, typename Weight>
__device__ Cut find_cut(int64_t count, const Key& key, const Weight& weight_of, double target) {
  uint32_t bound = 0;  // of all keys that weigh enough: the largest
  for (int shift = 30; shift >= 0; shift -= 2) {
    StepSums sums{0.0, 0.0, 0.0};
    for (int64_t i = threadIdx.x; i < count; i += kThreads) {
      const uint32_t k = key(i);
      const double weight = weight_of(k);
      if (k >= bound + (1u << shift)) sums.one += weight;
      if (k >= bound + (2u << shift)) sums.two += weight;
      if (k >= bound + (3u << shift)) sums.three += weight;
    }
    bound += block_sum<kThreads>(sums).steps_to(target) << shift;
  }
  const double above =
      row_sum<kThreads>(count, [&](int64_t i) { return key(i) > bound ? weight_of(key(i)) : 0.0; });
  const double ties = fmax(ceil((target - above) / weight_of(bound)), 1.0);
  const int64_t last_tie = first_above<kThreads>(
      count, [&](int64_t i) { return key(i) == bound ? 1.0 : 0.0; }, ties - 0.5);
  return {bound, last_tie};
}

template <int kThreads, typename Key>
__device__ void apply_cut(float* weights, int64_t count, const Key& key, Cut cut) {
  for (int64_t i = threadIdx.x; i < count; i += kThreads) {
    const uint32_t k = key(i);
    if (k < cut.bound || (k == cut.bound && i > cut.last_tie)) weights[i] = 0.0f;
  }
}

__device__ inline uint64_t join(int32_t low, int32_t high) {
  return static_cast<uint64_t>(static_cast<uint32_t>(low)) |
         static_cast<uint64_t>(static_cast<uint32_t>(high)) << 32;
}

// What is left after both restrictions, by inverting its cumulative sum.
template <int kThreads>
__device__ int64_t draw(const Parameters& p, const float* logits, float* weights) {
  const int64_t count = p.vocab_size;
  const int64_t row = blockIdx.x;
  const auto weight = [&](int64_t i) { return weights[i]; };
  if (const int32_t top_k = p.top_k[row]; top_k > 0 && top_k < count) {
    const auto key = [&](int64_t i) { return ordered_bits(logits[i]); };
    const Cut cut = find_cut<kThreads>(
        count, key, [](uint32_t) { return 1.0; }, top_k);
    apply_cut<kThreads>(weights, count, key, cut);
  }
  if (const float top_p = p.top_p[row]; top_p < 1.0f) {
    const auto key = [&](int64_t i) { return std::bit_cast<uint32_t>(weights[i]); };
    const auto weight_of = [](uint32_t k) { return static_cast<double>(std::bit_cast<float>(k)); };
    const double target = static_cast<double>(top_p) * row_sum<kThreads>(count, weight);
    apply_cut<kThreads>(weights, count, key, find_cut<kThreads>(count, key, weight_of, target));
  }
  const int32_t* key = p.keys + 4 * row;
  const Random random(p.seed, Purpose::token_sampling, join(key[0], key[1]));
  const double uniform = static_cast<double>(random.uniform(join(key[2], key[3])));
  return first_above<kThreads>(count, weight, uniform * row_sum<kThreads>(count, weight));
}

// One block an SM at least: what nvcc would do for more costs spilled registers.
template <int kThreads>
__global__ void __launch_bounds__(kThreads, 1) sampling_kernel(Parameters p) {
  const int64_t row = blockIdx.x;
  const int64_t count = p.vocab_size;
  const float* logits = p.logits + row * count;
  float* weights = p.weights + row * count;
  const bool greedy = p.temperatures[row] == 0.0f;
  const float temperature = greedy ? 1.0f : p.temperatures[row];

  float maximum = -INFINITY;
  for (int64_t i = threadIdx.x; i < count; i += kThreads) maximum = fmaxf(maximum, logits[i]);
  maximum = block_max<kThreads>(maximum);
  // A NaN, +inf, or nothing but -inf makes a weight NaN, and so the total.
  for (int64_t i = threadIdx.x; i < count; i += kThreads) {
    weights[i] = expf((logits[i] - maximum) / temperature);
  }
  const auto total =
      static_cast<float>(row_sum<kThreads>(count, [&](int64_t i) { return weights[i]; }));

  int64_t token = 0;
  float logprob = NAN;
  if (total < INFINITY) {
    token = greedy ? first_above<kThreads>(
                         count, [&](int64_t i) { return logits[i] == maximum ? 1.0 : 0.0; }, 0.5)
                   : draw<kThreads>(p, logits, weights);
    logprob = (logits[token] - maximum) / temperature - logf(total);
  }
  if (threadIdx.x == 0) {
    p.tokens[row] = static_cast<int32_t>(token);
    if (p.logprobs) p.logprobs[row] = logprob;
  }
}

}  // namespace

size_t sampling_workspace_bytes(int64_t rows, int64_t vocab_size) {
  return static_cast<size_t>(rows * vocab_size) * sizeof(float);
}

void sampling(const Sampling& args, Stream stream) {
  const int64_t rows = args.logits.shape[0];
  const int64_t vocab_size = args.logits.shape[1];
  if (rows == 0) return;
  CRIA_ASSERT(args.workspace.bytes() >= sampling_workspace_bytes(rows, vocab_size));
  const Parameters parameters{.tokens = args.tokens.as<int32_t>(),
                              .logprobs = args.logprobs ? args.logprobs.as<float>() : nullptr,
                              .logits = args.logits.as<float>(),
                              .temperatures = args.temperatures.as<float>(),
                              .top_k = args.top_k.as<int32_t>(),
                              .top_p = args.top_p.as<float>(),
                              .keys = args.keys.as<int32_t>(),
                              .weights = static_cast<float*>(args.workspace.data),
                              .vocab_size = vocab_size,
                              .seed = args.seed};
  const dim3 grid(static_cast<unsigned>(rows));
  // A row is all that a block has: many threads where it is long.
  if (vocab_size > 4096) {
    launch(sampling_kernel<1024>, grid, dim3(1024), 0, stream, parameters);
  } else {
    launch(sampling_kernel<128>, grid, dim3(128), 0, stream, parameters);
  }
}

}  // namespace cria::CRIA_GPU
