// Language head: chunks of rows that have a target go through products of one shape and a softmax
// kernel between them that keeps no probability.
//
//   clear_rows    one block a row of the batch: zeros for rows without a target
//   select_rows   one block: the numbers of the rows with one, in order
//   then for each chunk of C rows:
//   gather_rows   one block a row: its hidden state, zeros where the chunk has no more rows
//   (product)     logits [C, V] fp32
//   softmax_rows  one block a row: log-sum-exp, entropy, argmax and target in one pass over the
//                 logits; in the backward pass dz in a second one, which the L2 cache still serves
//   (products)    hidden and head gradients from dz
//   scatter_rows  one block a row: its hidden gradient to where it belongs
//
// Memory a chunk: 4 C V bytes of logits written by the product and read once; dz written and read
// twice. How many rows have a target the host learns from max_targets alone: it launches that many.
#include <algorithm>

#include "cria/ops/token_logprob.h"

#include "kernels/device/block.h"
#include "kernels/device/device.h"
#include "kernels/device/vector.h"
#include "kernels/ops.h"

namespace cria::CRIA_GPU {

namespace {

// Rows of logits held at once: an eighth of the batch, but 512 to 2,048; at a vocabulary of 32,000
// 64 to 256 MB. A chunk reads the head and adds to the whole of its gradient, so few large chunks
// move less. The count depends on T alone, so that every product of a call has the same shape and a
// row comes out alike whatever its neighbours.
constexpr int64_t kMinChunkRows = 512;
constexpr int64_t kMaxChunkRows = 2048;
constexpr int kSelectThreads = 512;
constexpr int kCopyThreads = 128;

int64_t chunk_rows(int64_t tokens) {
  return std::min(std::clamp(tokens / 8 / 128 * 128, kMinChunkRows, kMaxChunkRows),
                  (tokens + 15) / 16 * 16);
}

struct Chunks {
  int64_t count = 0;       // chunks that all rows of the batch make
  Tensor rows;             // [count, C] i32: which rows of the batch; -1: none
  Tensor hidden;           // [C, d], zero where the chunk has no row
  Tensor hidden_gradient;  // [C, d]
  Tensor logits;           // [C, V] fp32
  Tensor logit_gradient;   // [C, V]; the memory of the logits in fp32
  size_t bytes = 0;
};

Chunks cut_workspace(Tensor workspace, int64_t tokens, int64_t hidden_size, int64_t vocab_size,
                     DType dtype) {
  constexpr size_t kAlignment = 64;
  const int64_t C = chunk_rows(tokens);
  Chunks chunks;
  chunks.count = C > 0 ? (tokens + C - 1) / C : 0;
  const auto take = [&](DType type, Shape shape) {
    Tensor tensor = workspace;
    if (workspace) tensor.data = static_cast<std::byte*>(workspace.data) + chunks.bytes;
    tensor.dtype = type;
    tensor.shape = shape;
    const size_t bytes = static_cast<size_t>(shape.elements()) * size_of(type);
    chunks.bytes += (bytes + kAlignment - 1) / kAlignment * kAlignment;
    return tensor;
  };
  chunks.rows = take(DType::i32, {chunks.count, C});
  chunks.hidden = take(dtype, {C, hidden_size});
  chunks.hidden_gradient = take(dtype, {C, hidden_size});
  chunks.logits = take(DType::f32, {C, vocab_size});
  chunks.logit_gradient = dtype == DType::f32 ? chunks.logits : take(dtype, {C, vocab_size});
  return chunks;
}

// The rows that have something to compute. Without forward outputs those whose gradient is zero
// have nothing.
struct Rows {
  const int32_t* targets;
  const float* logprob_gradients;  // null in the forward pass
  float* logprobs;                 // null in the backward pass
  float* entropies;
  int32_t* predictions;
  int64_t tokens;

  __device__ bool wanted(int64_t t) const {
    return targets[t] >= 0 && (logprobs || logprob_gradients[t] != 0.0f);
  }
};

template <typename T>
__global__ void __launch_bounds__(kCopyThreads)
    clear_rows(Rows rows, T* __restrict__ hidden_gradient, int64_t hidden_size) {
  const int64_t t = blockIdx.x;
  if (rows.wanted(t)) return;
  if (threadIdx.x == 0) {
    if (rows.logprobs) rows.logprobs[t] = 0.0f;
    if (rows.entropies) rows.entropies[t] = 0.0f;
    if (rows.predictions) rows.predictions[t] = -1;
  }
  if (!hidden_gradient) return;
  for (int64_t j = threadIdx.x; j < hidden_size; j += kCopyThreads) {
    hidden_gradient[t * hidden_size + j] = T(0.0f);
  }
}

// More rows than the caller said there would be get a NaN, which no trainer takes for a result.
__global__ void __launch_bounds__(kSelectThreads)
    select_rows(Rows rows, int32_t* __restrict__ selected, int64_t capacity) {
  constexpr int kWarps = kSelectThreads / kWarpSize;
  __shared__ SharedArray<int, kWarps> of_warps;
  int64_t found = 0;
  for (int64_t tile = 0; tile < rows.tokens; tile += kSelectThreads) {
    const int64_t t = tile + threadIdx.x;
    const bool wanted = t < rows.tokens && rows.wanted(t);
    const unsigned lanes = __ballot_sync(kFullWarp, wanted);
    __syncthreads();  // the counts of the tile before have been read
    if (lane() == 0) of_warps[warp_index()] = __popc(lanes);
    __syncthreads();
    int64_t position = found + __popc(lanes & ((1u << lane()) - 1u));
    for (int warp = 0; warp < kWarps; ++warp) {
      if (warp < warp_index()) position += of_warps[warp];
      found += of_warps[warp];
    }
    if (wanted && position < capacity) selected[position] = static_cast<int32_t>(t);
    if (wanted && position >= capacity && rows.logprobs) rows.logprobs[t] = NAN;
  }
  for (int64_t i = found + threadIdx.x; i < capacity; i += kSelectThreads) selected[i] = -1;
}

template <typename T, int kWidth>
__global__ void __launch_bounds__(kCopyThreads)
    gather_rows(T* __restrict__ chunk, const T* __restrict__ hidden,
                const int32_t* __restrict__ rows, int64_t hidden_size) {
  const int64_t i = blockIdx.x;
  const int64_t row = rows[i];
  for (int64_t j = threadIdx.x * kWidth; j < hidden_size; j += kCopyThreads * kWidth) {
    Vector<T, kWidth> values = {};
    if (row >= 0) values = load<kWidth>(hidden + row * hidden_size + j);
    store(chunk + i * hidden_size + j, values);
  }
}

template <typename T, int kWidth>
__global__ void __launch_bounds__(kCopyThreads)
    scatter_rows(T* __restrict__ hidden_gradient, const T* __restrict__ chunk,
                 const int32_t* __restrict__ rows, int64_t hidden_size) {
  const int64_t i = blockIdx.x;
  const int64_t row = rows[i];
  if (row < 0) return;
  for (int64_t j = threadIdx.x * kWidth; j < hidden_size; j += kCopyThreads * kWidth) {
    store(hidden_gradient + row * hidden_size + j, load<kWidth>(chunk + i * hidden_size + j));
  }
}

// A softmax met element by element: sums are relative to the largest logit so far, and rescaled
// when a larger one comes.
struct Softmax {
  float maximum;  // logit
  float sum;      // of e^z, z = (logit - maximum) / temperature
  float moment;   // of z e^z
  int32_t best;   // lowest id of the maximum; -1: nothing met

  __device__ static Softmax none() { return {-INFINITY, 0.0f, 0.0f, -1}; }

  __device__ void rescale(float larger, float inverse_temperature) {
    if (best < 0) return;
    const float z = (maximum - larger) * inverse_temperature;
    const float e = expf(z);
    moment = e * (moment + z * sum);
    sum *= e;
  }

  __device__ void add(float logit, int32_t id, float inverse_temperature) {
    if (logit > maximum || best < 0) {
      rescale(logit, inverse_temperature);
      maximum = logit;
      best = id;
    }
    const float z = (logit - maximum) * inverse_temperature;
    const float e = expf(z);
    sum += e;
    moment += z * e;
  }

  // The same bits whichever of the two comes first.
  __device__ static Softmax merge(Softmax a, Softmax b, float inverse_temperature) {
    if (b.best < 0) return a;
    if (a.best < 0) return b;
    const bool b_leads = b.maximum > a.maximum || (b.maximum == a.maximum && b.best < a.best);
    Softmax leading = b_leads ? b : a;
    Softmax other = b_leads ? a : b;
    other.rescale(leading.maximum, inverse_temperature);
    leading.sum += other.sum;
    leading.moment += other.moment;
    return leading;
  }
};

template <int kThreads>
__device__ Softmax merge_block(Softmax own, float inverse_temperature) {
  return block_reduce<kThreads>(own, Softmax::none(), [=](Softmax value) {
#pragma unroll
    for (int offset = kWarpSize / 2; offset > 0; offset /= 2) {
      const Softmax other{__shfl_xor_sync(kFullWarp, value.maximum, offset),
                          __shfl_xor_sync(kFullWarp, value.sum, offset),
                          __shfl_xor_sync(kFullWarp, value.moment, offset),
                          __shfl_xor_sync(kFullWarp, value.best, offset)};
      value = Softmax::merge(value, other, inverse_temperature);
    }
    return value;
  });
}

template <typename T>
struct SoftmaxRows {
  Rows rows;
  const int32_t* selected;  // [C]
  const float* logits;      // [C, V]
  T* logit_gradient;        // [C, V] or null
  int64_t vocab_size;
  float inverse_temperature;
  const float* old_logprobs;  // [T] or null: no ratio
  float cliprange;
};

// What the clipped surrogate makes of the gradient at a ratio of 1.
__device__ float at_ratio(float gradient, float ratio, float cliprange) {
  const bool is_past = gradient < 0.0f ? ratio > 1.0f + cliprange : ratio < 1.0f - cliprange;
  return is_past ? 0.0f : gradient * ratio;
}

template <typename T, int kThreads, int kWidth>
__global__ void __launch_bounds__(kThreads) softmax_rows(SoftmaxRows<T> p) {
  const int64_t V = p.vocab_size;
  const float* logits = p.logits + blockIdx.x * V;
  T* gradient = p.logit_gradient ? p.logit_gradient + blockIdx.x * V : nullptr;
  const int64_t row = p.selected[blockIdx.x];
  const int64_t first = threadIdx.x * kWidth;
  if (row < 0) {  // the products read it all the same
    for (int64_t v = first; gradient && v < V; v += kThreads * kWidth) {
      store(gradient + v, from_float<T>(Vector<float, kWidth>{}));
    }
    return;
  }

  const int64_t target = p.rows.targets[row];
  const float target_logit = logits[target];
  Softmax softmax = Softmax::none();
  for (int64_t v = first; v < V; v += kThreads * kWidth) {
    const Vector<float, kWidth> values = load<kWidth>(logits + v);
#pragma unroll
    for (int i = 0; i < kWidth; ++i) {
      softmax.add(values[i], static_cast<int32_t>(v) + i, p.inverse_temperature);
    }
  }
  softmax = merge_block<kThreads>(softmax, p.inverse_temperature);

  const float log_sum = logf(softmax.sum);
  const float logprob = (target_logit - softmax.maximum) * p.inverse_temperature - log_sum;
  if (threadIdx.x == 0) {
    if (p.rows.logprobs) p.rows.logprobs[row] = logprob;
    if (p.rows.entropies) p.rows.entropies[row] = log_sum - softmax.moment / softmax.sum;
    if (p.rows.predictions) p.rows.predictions[row] = softmax.best;
  }
  if (!gradient) return;

  float logprob_gradient = p.rows.logprob_gradients[row];
  if (p.old_logprobs) {
    logprob_gradient = at_ratio(logprob_gradient, expf(logprob - p.old_logprobs[row]), p.cliprange);
  }
  const float scale = logprob_gradient * p.inverse_temperature;
  const float factor = -scale / softmax.sum;
  for (int64_t v = first; v < V; v += kThreads * kWidth) {
    Vector<float, kWidth> values = load<kWidth>(logits + v);
#pragma unroll
    for (int i = 0; i < kWidth; ++i) {
      const float e = expf((values[i] - softmax.maximum) * p.inverse_temperature);
      values[i] = e * factor + (v + i == target ? scale : 0.0f);
    }
    store(gradient + v, from_float<T>(values));
  }
}

// The widest access that every row of these tensors allows.
template <typename T, int kWidest, typename Body>
void with_width(int64_t columns, std::initializer_list<Tensor> tensors, const Body& body) {
  constexpr size_t kBytes = sizeof(T) * kWidest;
  bool aligned = columns % kWidest == 0;
  for (const Tensor& tensor : tensors) {
    aligned = aligned && reinterpret_cast<uintptr_t>(tensor.data) % kBytes == 0;
  }
  if (aligned) {
    body.template operator()<kWidest>();
  } else {
    body.template operator()<1>();
  }
}

template <typename T>
void run_softmax(const SoftmaxRows<T>& parameters, int64_t C, Stream stream) {
  const dim3 grid(static_cast<unsigned>(C));
  with_width<float, 4>(parameters.vocab_size, {}, [&]<int kWidth>() {
    // Long rows take a large block, so that the rows under way stay in the L2 cache until dz.
    if (parameters.vocab_size > 4096) {
      launch(softmax_rows<T, 1024, kWidth>, grid, dim3(1024), 0, stream, parameters);
    } else {
      launch(softmax_rows<T, 128, kWidth>, grid, dim3(128), 0, stream, parameters);
    }
  });
}

// Both directions, one chunk at a time. Forward alone leaves the gradients empty, backward alone
// the log-probabilities.
template <typename T>
void run(const TokenLogprobFused& args, Stream stream) {
  const int64_t tokens = args.hidden.shape[0];
  const int64_t d = args.hidden.shape[1];
  const int64_t vocab_size = args.head.values.shape[0];
  if (tokens == 0) return;
  const Chunks chunks = cut_workspace(args.workspace, tokens, d, vocab_size, args.hidden.dtype);
  CRIA_ASSERT(args.workspace.bytes() >= chunks.bytes);
  CRIA_ASSERT(args.targets.size() == tokens && args.head.values.shape[1] == d);
  const int64_t C = chunks.rows.shape[1];
  const int64_t most = args.max_targets > 0 ? std::min(args.max_targets, tokens) : tokens;
  const int64_t chunk_count = (most + C - 1) / C;
  const bool backward = bool(args.hidden_gradient);
  const Rows rows{.targets = args.targets.as<int32_t>(),
                  .logprob_gradients = backward ? args.logprob_gradients.as<float>() : nullptr,
                  .logprobs = args.logprobs ? args.logprobs.as<float>() : nullptr,
                  .entropies = args.entropies ? args.entropies.as<float>() : nullptr,
                  .predictions = args.predictions ? args.predictions.as<int32_t>() : nullptr,
                  .tokens = tokens};
  T* hidden_gradient = backward ? args.hidden_gradient.as<T>() : nullptr;
  int32_t* selected = chunks.rows.as<int32_t>();
  const dim3 row_grid(static_cast<unsigned>(C));
  constexpr int kWidest = 16 / sizeof(T);

  launch(clear_rows<T>, dim3(static_cast<unsigned>(tokens)), dim3(kCopyThreads), 0, stream, rows,
         hidden_gradient, d);
  launch(select_rows, dim3(1), dim3(kSelectThreads), 0, stream, rows, selected, chunk_count * C);
  for (int64_t chunk = 0; chunk < chunk_count; ++chunk, selected += C) {
    with_width<T, kWidest>(d, {args.hidden}, [&]<int kWidth>() {
      launch(gather_rows<T, kWidth>, row_grid, dim3(kCopyThreads), 0, stream, chunks.hidden.as<T>(),
             args.hidden.as<T>(), selected, d);
    });
    linear_forward({.output = chunks.logits, .input = chunks.hidden, .weight = args.head}, stream);
    run_softmax<T>({.rows = rows,
                    .selected = selected,
                    .logits = chunks.logits.as<float>(),
                    .logit_gradient = backward ? chunks.logit_gradient.as<T>() : nullptr,
                    .vocab_size = vocab_size,
                    .inverse_temperature = 1.0f / args.temperature,
                    .old_logprobs = args.old_logprobs ? args.old_logprobs.as<float>() : nullptr,
                    .cliprange = args.cliprange},
                   C, stream);
    if (!backward) continue;
    linear_backward_input({.input_gradient = chunks.hidden_gradient,
                           .output_gradient = chunks.logit_gradient,
                           .weight = args.head},
                          stream);
    with_width<T, kWidest>(d, {args.hidden_gradient}, [&]<int kWidth>() {
      launch(scatter_rows<T, kWidth>, row_grid, dim3(kCopyThreads), 0, stream, hidden_gradient,
             chunks.hidden_gradient.as<T>(), selected, d);
    });
    linear_backward_weight({.weight_gradient = args.head_gradient,
                            .output_gradient = chunks.logit_gradient,
                            .input = chunks.hidden},
                           stream);
  }
}

void dispatch(const TokenLogprobFused& args, Stream stream) {
  visit_dtype(args.hidden.dtype, [&]<typename T>() { run<T>(args, stream); });
}

}  // namespace

size_t token_logprob_workspace_bytes(int64_t tokens, int64_t hidden_size, int64_t vocab_size,
                                     DType dtype) {
  return cut_workspace({}, tokens, hidden_size, vocab_size, dtype).bytes;
}

void token_logprob_forward(const TokenLogprobForward& args, Stream stream) {
  dispatch({.logprobs = args.logprobs,
            .entropies = args.entropies,
            .predictions = args.predictions,
            .hidden = args.hidden,
            .head = args.head,
            .targets = args.targets,
            .max_targets = args.max_targets,
            .temperature = args.temperature,
            .workspace = args.workspace},
           stream);
}

void token_logprob_backward(const TokenLogprobBackward& args, Stream stream) {
  dispatch({.hidden_gradient = args.hidden_gradient,
            .head_gradient = args.head_gradient,
            .hidden = args.hidden,
            .head = args.head,
            .targets = args.targets,
            .logprob_gradients = args.logprob_gradients,
            .max_targets = args.max_targets,
            .temperature = args.temperature,
            .workspace = args.workspace},
           stream);
}

void token_logprob_fused(const TokenLogprobFused& args, Stream stream) { dispatch(args, stream); }

}  // namespace cria::CRIA_GPU
