#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "cria/core/parallel.h"

#include "cpu_ops.h"
#include "vector_math.h"

namespace cria::cpu {

namespace {

// Rows of logits held at once: 32 MB at a vocabulary of 32,000. The count depends on T alone, so
// that every product of a call has the same shape and a row comes out alike whatever its
// neighbours.
constexpr int64_t kMaxChunkRows = 256;

int64_t chunk_rows(int64_t tokens) { return std::min(kMaxChunkRows, (tokens + 15) / 16 * 16); }

struct Chunk {
  Tensor rows;             // [C] i32: which rows of the batch
  Tensor hidden;           // [C, d], zero beyond the last row
  Tensor hidden_gradient;  // [C, d]
  Tensor logits;           // [C, V] fp32
  Tensor logit_gradient;   // [C, V]; the memory of the logits in fp32
  size_t bytes = 0;
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
  chunk.logits = take(DType::f32, {count, vocab_size});
  chunk.logit_gradient = dtype == DType::f32 ? chunk.logits : take(dtype, {count, vocab_size});
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

int32_t first_equal(const float* logits, int64_t count, float value) {
  const float* found = std::find(logits, logits + count, value);
  return found == logits + count ? -1 : static_cast<int32_t>(found - logits);
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

// dz = scale * (onehot(target) - p), from e^(z - max z) in place.
void differentiate(float* exponentials, int64_t count, double sum, int32_t target, float scale) {
  const float factor = static_cast<float>(-scale / sum);
#pragma omp simd
  for (int64_t v = 0; v < count; ++v) exponentials[v] *= factor;
  exponentials[target] += scale;
}

// Both directions over one chunk at a time. Forward alone leaves the gradients empty, backward
// alone the log-probabilities; a row without gradient then is left out.
template <typename T>
void run(const TokenLogprobFused& args) {
  const int64_t tokens = args.hidden.shape[0];
  const int64_t d = args.hidden.shape[1];
  const int64_t vocab_size = args.head.values.shape[0];
  const bool forward = bool(args.logprobs);
  const bool backward = bool(args.hidden_gradient);
  const float inverse_temperature = 1.0f / args.temperature;
  const Chunk chunk = cut_workspace(args.workspace.data, tokens, d, vocab_size, args.hidden.dtype);
  CRIA_ASSERT(args.workspace.bytes() >= chunk.bytes);
  CRIA_ASSERT(args.targets.size() == tokens && args.head.values.shape[1] == d);

  const T* hidden = args.hidden.as<T>();
  const int32_t* targets = args.targets.as<int32_t>();
  const float* logprob_gradients = backward ? args.logprob_gradients.as<float>() : nullptr;
  float* logprobs = forward ? args.logprobs.as<float>() : nullptr;
  float* entropies = args.entropies ? args.entropies.as<float>() : nullptr;
  int32_t* predictions = args.predictions ? args.predictions.as<int32_t>() : nullptr;
  T* hidden_gradient = backward ? args.hidden_gradient.as<T>() : nullptr;
  int32_t* rows = chunk.rows.as<int32_t>();

  if (forward) zero(args.logprobs);
  if (entropies) zero(args.entropies);
  if (predictions) std::fill_n(predictions, tokens, -1);
  if (backward) zero(args.hidden_gradient);

  const int64_t capacity = chunk.rows.size();
  for (int64_t t = 0; t < tokens;) {
    int64_t count = 0;
    for (; t < tokens && count < capacity; ++t) {
      CRIA_ASSERT(targets[t] < vocab_size);
      const bool wanted = forward || logprob_gradients[t] != 0.0f;
      if (targets[t] >= 0 && wanted) rows[count++] = static_cast<int32_t>(t);
    }
    if (count == 0) break;

    T* gathered = chunk.hidden.as<T>();
    for (int64_t i = 0; i < count; ++i) {
      std::copy_n(hidden + rows[i] * d, d, gathered + i * d);
    }
    zero(chunk.hidden.rows(count, capacity - count));
    linear_forward({.output = chunk.logits, .input = chunk.hidden, .weight = args.head});

    parallel_for(count, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        float* logits = chunk.logits.as<float>() + i * vocab_size;
        const int32_t row = rows[i];
        const int32_t target = targets[row];
        const float maximum = row_maximum(logits, vocab_size);
        if (predictions) predictions[row] = first_equal(logits, vocab_size, maximum);
        const Softmax softmax =
            exponentiate(logits, vocab_size, maximum, target, inverse_temperature);
        const double log_sum = std::log(softmax.sum);
        if (forward) logprobs[row] = static_cast<float>(softmax.target_logit - log_sum);
        if (entropies) entropies[row] = static_cast<float>(log_sum - softmax.moment / softmax.sum);
        if (backward) {
          differentiate(logits, vocab_size, softmax.sum, target,
                        logprob_gradients[row] * inverse_temperature);
          if constexpr (std::is_same_v<T, bf16>) {
            store_row(chunk.logit_gradient.as<bf16>() + i * vocab_size, logits, vocab_size);
          }
        }
      }
    });
    if (!backward) continue;

    zero(chunk.logit_gradient.rows(count, capacity - count));
    linear_backward_input({.input_gradient = chunk.hidden_gradient,
                           .output_gradient = chunk.logit_gradient,
                           .weight = args.head});
    const T* gathered_gradient = chunk.hidden_gradient.as<T>();
    for (int64_t i = 0; i < count; ++i) {
      std::copy_n(gathered_gradient + i * d, d, hidden_gradient + rows[i] * d);
    }
    linear_backward_weight({.weight_gradient = args.head_gradient,
                            .output_gradient = chunk.logit_gradient,
                            .input = chunk.hidden});
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
