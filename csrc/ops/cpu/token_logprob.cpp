#include <algorithm>
#include <cmath>
#include <limits>

#include "cria/core/parallel.h"

#include "cpu_ops.h"
#include "vector_math.h"

namespace cria::cpu {

namespace {

// Rows whose gradients of logits are held at once: the more, the fewer passes over the gradient of
// the head. And rows of fp32 logits (32 MB at a vocabulary of 32,000), which the softmax reads best
// from the cache. Both depend on T alone, so that every product that gives rows has the same shape
// and a row comes out alike whatever its neighbours.
constexpr int64_t kMaxChunkRows = 512;
constexpr int64_t kMaxLogitRows = 256;

int64_t chunk_rows(int64_t tokens) {
  const int64_t multiple = tokens < kMaxLogitRows ? 16 : kMaxLogitRows;
  return std::min(kMaxChunkRows, (tokens + multiple - 1) / multiple * multiple);
}

struct Chunk {
  Tensor rows;             // [C] i32: which rows of the batch
  Tensor hidden;           // [C, d], zero beyond the last row
  Tensor hidden_gradient;  // [C, d]
  Tensor logit_gradient;   // [C, V]
  Tensor logits;           // [L, V] fp32, but empty in fp32
  int64_t logit_rows;      // L, of which C is a multiple
  size_t bytes = 0;

  // [L, V], of rows [first, first + L). In fp32 their gradient takes their place.
  Tensor logits_from(int64_t first) const {
    return logits ? logits : logit_gradient.rows(first, logit_rows);
  }
};

Chunk cut_workspace(void* workspace, int64_t tokens, int64_t hidden_size, int64_t vocab_size,
                    DType dtype) {
  constexpr size_t kAlignment = 64;
  const int64_t count = chunk_rows(tokens);
  Chunk chunk;
  const auto take = [&](DType type, Shape shape) {
    Tensor tensor{.data = workspace ? static_cast<std::byte*>(workspace) + chunk.bytes : nullptr,
                  .dtype = type,
                  .shape = shape};
    const size_t bytes = static_cast<size_t>(shape.elements()) * size_of(type);
    chunk.bytes += (bytes + kAlignment - 1) / kAlignment * kAlignment;
    return tensor;
  };
  chunk.rows = take(DType::i32, {count});
  chunk.hidden = take(dtype, {count, hidden_size});
  chunk.hidden_gradient = take(dtype, {count, hidden_size});
  chunk.logit_gradient = take(dtype, {count, vocab_size});
  chunk.logit_rows = std::min(count, kMaxLogitRows);
  if (dtype != DType::f32) chunk.logits = take(DType::f32, {chunk.logit_rows, vocab_size});
  return chunk;
}

// One row's softmax: what is left after the logits have been replaced by e^(z - max z).
struct Softmax {
  float target_logit;  // z[target] - max z
  double sum;          // of e^(z - max z)
  double moment;       // sum of (z - max z) e^(z - max z)
};

float row_maximum(const float* logits, int64_t count) {
  float maximum = -std::numeric_limits<float>::infinity();
#pragma omp simd reduction(max : maximum)
  for (int64_t v = 0; v < count; ++v) maximum = logits[v] > maximum ? logits[v] : maximum;
  return maximum;
}

// Blocks are looked through as vectors, and only the one that has it element by element.
int32_t first_equal(const float* logits, int64_t count, float value) {
  constexpr int64_t kBlock = 256;
  for (int64_t begin = 0; begin < count; begin += kBlock) {
    const int64_t end = std::min(begin + kBlock, count);
    int32_t equal = 0;
#pragma omp simd reduction(| : equal)
    for (int64_t v = begin; v < end; ++v) equal |= logits[v] == value;
    if (equal == 0) continue;
    return static_cast<int32_t>(std::find(logits + begin, logits + end, value) - logits);
  }
  return -1;
}

// Short fp32 sums, added up in double: the error stays at some units in the last place for any
// vocabulary.
Softmax exponentiate(float* logits, int64_t count, float maximum, int32_t target,
                     float inverse_temperature) {
  constexpr int64_t kBlock = 1024;
  Softmax result{
      .target_logit = (logits[target] - maximum) * inverse_temperature, .sum = 0.0, .moment = 0.0};
  for (int64_t begin = 0; begin < count; begin += kBlock) {
    const int64_t end = std::min(begin + kBlock, count);
    float sum = 0.0f;
    float moment = 0.0f;
#pragma omp simd reduction(+ : sum, moment)
    for (int64_t v = begin; v < end; ++v) {
      const float z = (logits[v] - maximum) * inverse_temperature;
      const float e = fast_exp(z);
      sum += e;
      moment += z * e;
      logits[v] = e;
    }
    result.sum += sum;
    result.moment += moment;
  }
  return result;
}

// dz = scale * (onehot(target) - p), from e^(z - max z); in fp32 in place.
template <typename T>
void differentiate(T* gradient, const float* exponentials, int64_t count, double sum,
                   int32_t target, float scale) {
  const float factor = static_cast<float>(-scale / sum);
  const float of_target = factor * exponentials[target] + scale;
#pragma omp simd
  for (int64_t v = 0; v < count; ++v) store(gradient[v], factor * exponentials[v]);
  store(gradient[target], of_target);
}

// What the clipped surrogate makes of the gradient at a ratio of 1.
float at_ratio(float gradient, float ratio, float cliprange) {
  const bool is_past = gradient < 0.0f ? ratio > 1.0f + cliprange : ratio < 1.0f - cliprange;
  return is_past ? 0.0f : gradient * ratio;
}

// Forward alone leaves the gradients empty, backward alone the log-probabilities.
bool has_forward(const TokenLogprobFused& args) { return bool(args.logprobs); }
bool has_backward(const TokenLogprobFused& args) { return bool(args.hidden_gradient); }

// Fills the chunk with the next rows that have something to compute, from row t on, and advances t
// behind the last of them. Returns how many there are.
template <typename T>
int64_t gather(const TokenLogprobFused& args, const Chunk& chunk, int64_t& t) {
  const int64_t tokens = args.hidden.shape[0];
  const int64_t d = args.hidden.shape[1];
  const int32_t* targets = args.targets.as<int32_t>();
  const float* gradients = has_backward(args) ? args.logprob_gradients.as<float>() : nullptr;
  int32_t* rows = chunk.rows.as<int32_t>();
  const int64_t capacity = chunk.rows.size();
  int64_t count = 0;
  for (; t < tokens && count < capacity; ++t) {
    CRIA_ASSERT(targets[t] < args.head.values.shape[0]);
    const bool wanted = has_forward(args) || gradients[t] != 0.0f;
    if (targets[t] < 0 || !wanted) continue;
    std::copy_n(args.hidden.as<T>() + t * d, d, chunk.hidden.as<T>() + count * d);
    rows[count++] = static_cast<int32_t>(t);
  }
  zero(chunk.hidden.rows(count, capacity - count));
  return count;
}

// Everything between the product that gives the logits and those that take their gradient, for
// rows [first, first + count) of the chunk.
template <typename T>
void softmax_rows(const TokenLogprobFused& args, const Chunk& chunk, int64_t first, int64_t count) {
  const int64_t vocab_size = args.head.values.shape[0];
  const float inverse_temperature = 1.0f / args.temperature;
  float* all_logits = chunk.logits_from(first).as<float>();
  const int32_t* rows = chunk.rows.as<int32_t>() + first;
  const int32_t* targets = args.targets.as<int32_t>();
  parallel_for(count, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int32_t row = rows[i];
      const int32_t target = targets[row];
      float* logits = all_logits + i * vocab_size;
      const float maximum = row_maximum(logits, vocab_size);
      if (args.predictions) {
        args.predictions.as<int32_t>()[row] = first_equal(logits, vocab_size, maximum);
      }
      const Softmax softmax =
          exponentiate(logits, vocab_size, maximum, target, inverse_temperature);
      const double log_sum = std::log(softmax.sum);
      const auto logprob = static_cast<float>(softmax.target_logit - log_sum);
      if (has_forward(args)) args.logprobs.as<float>()[row] = logprob;
      if (args.entropies) {
        args.entropies.as<float>()[row] =
            static_cast<float>(log_sum - softmax.moment / softmax.sum);
      }
      if (!has_backward(args)) continue;
      float gradient = args.logprob_gradients.as<float>()[row];
      if (args.old_logprobs) {
        const float ratio = std::exp(logprob - args.old_logprobs.as<float>()[row]);
        gradient = at_ratio(gradient, ratio, args.cliprange);
      }
      differentiate(chunk.logit_gradient.as<T>() + (first + i) * vocab_size, logits, vocab_size,
                    softmax.sum, target, gradient * inverse_temperature);
    }
  });
}

template <typename T>
void scatter(Tensor hidden_gradient, const Chunk& chunk, int64_t count) {
  const int64_t d = hidden_gradient.shape[1];
  const int32_t* rows = chunk.rows.as<int32_t>();
  for (int64_t i = 0; i < count; ++i) {
    std::copy_n(chunk.hidden_gradient.as<T>() + i * d, d, hidden_gradient.as<T>() + rows[i] * d);
  }
}

// Both directions, one chunk at a time.
template <typename T>
void run(const TokenLogprobFused& args) {
  const int64_t tokens = args.hidden.shape[0];
  const Shape& head = args.head.values.shape;
  const Chunk chunk =
      cut_workspace(args.workspace.data, tokens, head[1], head[0], args.hidden.dtype);
  CRIA_ASSERT(args.workspace.bytes() >= chunk.bytes);
  CRIA_ASSERT(args.targets.size() == tokens && args.hidden.shape[1] == head[1]);

  if (args.logprobs) zero(args.logprobs);
  if (args.entropies) zero(args.entropies);
  if (args.predictions) std::fill_n(args.predictions.as<int32_t>(), tokens, -1);
  if (args.hidden_gradient) zero(args.hidden_gradient);

  int64_t t = 0;
  while (const int64_t count = gather<T>(args, chunk, t)) {
    const int64_t step = chunk.logit_rows;
    int64_t first = 0;
    for (; first < count; first += step) {
      const int64_t used = std::min(step, count - first);
      linear_forward({.output = chunk.logits_from(first),
                      .input = chunk.hidden.rows(first, step),
                      .weight = args.head});
      softmax_rows<T>(args, chunk, first, used);
      if (has_backward(args)) zero(chunk.logit_gradient.rows(first + used, step - used));
    }
    if (!has_backward(args)) continue;
    linear_backward_input({.input_gradient = chunk.hidden_gradient,
                           .output_gradient = chunk.logit_gradient,
                           .weight = args.head});
    scatter<T>(args.hidden_gradient, chunk, count);
    linear_backward_weight({.weight_gradient = args.head_gradient,
                            .output_gradient = chunk.logit_gradient.rows(0, first),
                            .input = chunk.hidden.rows(0, first)});
  }
}

void dispatch(const TokenLogprobFused& args) {
  visit_dtype(args.hidden.dtype, [&]<typename T>() { run<T>(args); });
}

}  // namespace

size_t token_logprob_workspace_bytes(int64_t tokens, int64_t hidden_size, int64_t vocab_size,
                                     DType dtype) {
  return cut_workspace(nullptr, tokens, hidden_size, vocab_size, dtype).bytes;
}

void token_logprob_forward(const TokenLogprobForward& args) {
  dispatch({.logprobs = args.logprobs,
            .entropies = args.entropies,
            .predictions = args.predictions,
            .hidden = args.hidden,
            .head = args.head,
            .targets = args.targets,
            .temperature = args.temperature,
            .workspace = args.workspace});
}

void token_logprob_backward(const TokenLogprobBackward& args) {
  dispatch({.hidden_gradient = args.hidden_gradient,
            .head_gradient = args.head_gradient,
            .hidden = args.hidden,
            .head = args.head,
            .targets = args.targets,
            .logprob_gradients = args.logprob_gradients,
            .temperature = args.temperature,
            .workspace = args.workspace});
}

void token_logprob_fused(const TokenLogprobFused& args) { dispatch(args); }

}  // namespace cria::cpu
