#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "cria/core/parallel.h"
#include "cria/core/random.h"

#include "cpu_ops.h"
#include "vector_math.h"

namespace cria::cpu {

namespace {

// Weights are summed in blocks of fixed size: a block in fp32, the blocks in double. That is exact
// enough for any vocabulary, and the block of the drawn token is found before the token itself.
constexpr int64_t kBlock = 256;

float largest(const float* values, int64_t count) {
  float result = -std::numeric_limits<float>::infinity();
#pragma omp simd reduction(max : result)
  for (int64_t i = 0; i < count; ++i) result = values[i] > result ? values[i] : result;
  return result;
}

float sum_block(const float* weights, int64_t begin, int64_t vocab_size) {
  const int64_t end = std::min(begin + kBlock, vocab_size);
  float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = begin; i < end; ++i) sum += weights[i];
  return sum;
}

double sum_weights(const float* weights, int64_t vocab_size) {
  double sum = 0.0;
  for (int64_t begin = 0; begin < vocab_size; begin += kBlock) {
    sum += static_cast<double>(sum_block(weights, begin, vocab_size));
  }
  return sum;
}

// weights = e^((logits - maximum) / temperature)
void exponentiate(float* weights, const float* logits, int64_t vocab_size, float maximum,
                  float temperature) {
#pragma omp simd
  for (int64_t i = 0; i < vocab_size; ++i) {
    weights[i] = fast_exp((logits[i] - maximum) / temperature);
  }
}

// Zeroes the weights where `values` is below `limit`, or equal to it after the first `ties` ids.
void keep_largest(float* weights, const float* values, int64_t vocab_size, float limit,
                  int64_t ties) {
  int64_t last_tie = -1;
  while (ties > 0) ties -= values[++last_tie] == limit;
#pragma omp simd
  for (int64_t i = 0; i < vocab_size; ++i) {
    const bool stays = values[i] > limit || (values[i] == limit && i <= last_tie);
    weights[i] = stays ? weights[i] : 0.0f;
  }
}

// Moves the values from `bound` up to the front of `selected` and returns their number.
int64_t select_from(float* selected, const float* values, int64_t count, float bound) {
  int64_t found = 0;
  for (int64_t i = 0; i < count; ++i) {  // without a branch that could be mispredicted
    selected[found] = values[i];
    found += values[i] >= bound;
  }
  return found;
}

void restrict_to_top_k(float* weights, const float* logits, int64_t vocab_size, int64_t top_k,
                       float* scratch) {
  // At least top_k logits reach the top_k-th largest of the blocks' maxima, where there are that
  // many blocks: only those that do need to be looked at.
  float bound = -std::numeric_limits<float>::infinity();
  const int64_t blocks = vocab_size / kBlock;
  if (top_k <= blocks) {
    for (int64_t b = 0; b < blocks; ++b) scratch[b] = largest(logits + b * kBlock, kBlock);
    std::nth_element(scratch, scratch + top_k - 1, scratch + blocks, std::greater<>());
    bound = scratch[top_k - 1];
  }
  const int64_t count = select_from(scratch, logits, vocab_size, bound);
  std::nth_element(scratch, scratch + top_k - 1, scratch + count, std::greater<>());
  const float limit = scratch[top_k - 1];
  keep_largest(weights, logits, vocab_size, limit, std::count(scratch, scratch + top_k, limit));
}

// Keeps the smallest set, filled from the largest weight down, whose share of the weights that are
// left reaches top_p.
void restrict_to_top_p(float* weights, int64_t vocab_size, float top_p, float* scratch) {
  const double total = sum_weights(weights, vocab_size);
  const double target = static_cast<double>(top_p) * total;
  // Tokens lighter than this share out less than half of (1 - top_p) * total between them, so none
  // of them is in the set.
  const double negligible = 0.5 * (total - target) / static_cast<double>(vocab_size);
  const int64_t count = select_from(scratch, weights, vocab_size, static_cast<float>(negligible));

  // In descending order the set ends in [low, high), and everything before low weighs `reached`.
  int64_t low = 0;
  int64_t high = count;
  double reached = 0.0;
  while (high - low > 1) {
    const int64_t middle = (low + high) / 2;
    std::nth_element(scratch + low, scratch + middle, scratch + high, std::greater<>());
    double half = 0.0;
    for (int64_t i = low; i < middle; ++i) half += static_cast<double>(scratch[i]);
    if (reached + half >= target) {
      high = middle;
    } else {
      reached += half;
      low = middle;
    }
  }
  const float limit = scratch[low];
  keep_largest(weights, weights, vocab_size, limit, std::count(scratch, scratch + low + 1, limit));
}

// The first token whose cumulative weight exceeds `uniform` (below 1) times the total.
int64_t invert_cumulative(const float* weights, int64_t vocab_size, float uniform) {
  const double target = static_cast<double>(uniform) * sum_weights(weights, vocab_size);
  double cumulative = 0.0;
  int64_t begin = 0;
  for (; begin + kBlock < vocab_size; begin += kBlock) {
    const auto block = static_cast<double>(sum_block(weights, begin, vocab_size));
    if (cumulative + block > target) break;
    cumulative += block;
  }
  // Summed one by one the block may round to a little less: its last token then.
  int64_t token = begin;
  for (int64_t i = begin; i < std::min(begin + kBlock, vocab_size); ++i) {
    if (weights[i] == 0.0f) continue;
    token = i;
    cumulative += static_cast<double>(weights[i]);
    if (cumulative > target) break;
  }
  return token;
}

uint64_t join(int32_t low, int32_t high) {
  return static_cast<uint64_t>(static_cast<uint32_t>(low)) |
         static_cast<uint64_t>(static_cast<uint32_t>(high)) << 32;
}

struct Row {
  const float* logits;
  int64_t vocab_size;
  float temperature;
  int64_t top_k;
  float top_p;
  float uniform;
};

struct Draw {
  int64_t token;
  float logprob;
};

Draw sample(const Row& row, float* weights, float* scratch) {
  const bool greedy = row.temperature == 0.0f;
  const float temperature = greedy ? 1.0f : row.temperature;
  const float maximum = largest(row.logits, row.vocab_size);
  exponentiate(weights, row.logits, row.vocab_size, maximum, temperature);
  const auto total = static_cast<float>(sum_weights(weights, row.vocab_size));
  if (!std::isfinite(total)) return {0, std::numeric_limits<float>::quiet_NaN()};
  const auto draw = [&](int64_t token) {
    return Draw{token, (row.logits[token] - maximum) / temperature - std::log(total)};
  };
  if (greedy) {
    return draw(std::find(row.logits, row.logits + row.vocab_size, maximum) - row.logits);
  }
  if (row.top_k > 0 && row.top_k < row.vocab_size) {
    restrict_to_top_k(weights, row.logits, row.vocab_size, row.top_k, scratch);
  }
  if (row.top_p < 1.0f) restrict_to_top_p(weights, row.vocab_size, row.top_p, scratch);
  return draw(invert_cumulative(weights, row.vocab_size, row.uniform));
}

// The weights of a row and as much again for a selection of its logits or weights.
size_t bytes_per_worker(int64_t vocab_size) {
  return static_cast<size_t>(vocab_size) * 2 * sizeof(float);
}

}  // namespace

size_t sampling_workspace_bytes(int64_t rows, int64_t vocab_size) {
  return static_cast<size_t>(std::min<int64_t>(rows, thread_count())) *
         bytes_per_worker(vocab_size);
}

void sampling(const Sampling& args) {
  const int64_t rows = args.logits.shape[0];
  const int64_t vocab_size = args.logits.shape[1];
  if (rows == 0) return;
  // As many workers as were planned for, whatever the thread count is now.
  const int64_t workers =
      std::min(rows, static_cast<int64_t>(args.workspace.bytes() / bytes_per_worker(vocab_size)));
  CRIA_ASSERT(workers > 0);
  const float* logits = args.logits.as<float>();
  const float* temperatures = args.temperatures.as<float>();
  const int32_t* top_k = args.top_k.as<int32_t>();
  const float* top_p = args.top_p.as<float>();
  const int32_t* keys = args.keys.as<int32_t>();
  int32_t* tokens = args.tokens.as<int32_t>();
  float* logprobs = args.logprobs ? args.logprobs.as<float>() : nullptr;
  parallel_for_each(workers, [&](int64_t worker) {
    auto* weights =
        reinterpret_cast<float*>(static_cast<std::byte*>(args.workspace.data) +
                                 static_cast<size_t>(worker) * bytes_per_worker(vocab_size));
    for (int64_t r = worker; r < rows; r += workers) {
      const int32_t* key = keys + 4 * r;
      const Random random(args.seed, Purpose::token_sampling, join(key[0], key[1]));
      const Draw draw = sample({.logits = logits + r * vocab_size,
                                .vocab_size = vocab_size,
                                .temperature = temperatures[r],
                                .top_k = top_k[r],
                                .top_p = top_p[r],
                                .uniform = random.uniform(join(key[2], key[3]))},
                               weights, weights + vocab_size);
      tokens[r] = static_cast<int32_t>(draw.token);
      if (logprobs) logprobs[r] = draw.logprob;
    }
  });
}

}  // namespace cria::cpu
