// RMSNorm, alone or after the residual add.
//
// Forward: one block a row. h stays in shared memory between the sum of its squares and the output,
// so memory sees, in elements of [T, d]: input and residual read, h and output written, once each.
//
// Backward: one block a chunk of rows, one after the other. Each thread keeps to its columns, so
// the chunk's share of the weight gradient adds up in shared memory without a barrier; h and the
// output gradient of the row stay there between the dot product and dh. A second kernel adds the
// chunks. Memory: three rows read and one written, 8 bytes of sums for each column of a chunk.
#include "cria/ops/rmsnorm.h"

#include "kernels/device/access_width.h"
#include "kernels/device/block.h"
#include "kernels/device/device.h"
#include "kernels/device/vector.h"
#include "kernels/ops.h"

namespace cria::CRIA_GPU {

namespace {

// Threads of a block follow from the row alone, so its bits do not depend on the other rows.
template <typename F>
void visit_threads(int64_t vectors, F&& f) {
  if (vectors <= 128) {
    f.template operator()<64>();
  } else {
    f.template operator()<256>();
  }
}

template <typename T>
struct Forward {
  T* output;
  T* residual_output;  // or null, as the residual
  float* inverse_rms;
  const T* input;
  const T* residual;
  const T* weight;
  int columns;
  float epsilon;
};

template <int kThreads, int kWidth, typename T>
__global__ void __launch_bounds__(kThreads) forward_kernel(Forward<T> p) {
  const int64_t row = static_cast<int64_t>(blockIdx.x) * p.columns;
  const int begin = static_cast<int>(threadIdx.x) * kWidth;
  T* h = dynamic_shared<T>();  // a thread reads only what it wrote
  float sum = 0.0f;
  for (int j = begin; j < p.columns; j += kThreads * kWidth) {
    auto vector = load<kWidth>(p.input + row + j);
    if (p.residual) {
      auto added = to_float(vector);
      const auto residual = to_float(load<kWidth>(p.residual + row + j));
#pragma unroll
      for (int k = 0; k < kWidth; ++k) added[k] += residual[k];
      vector = from_float<T>(added);
      store(p.residual_output + row + j, vector);
    }
    store(h + j, vector);
    const auto values = to_float(vector);
#pragma unroll
    for (int k = 0; k < kWidth; ++k) sum = fmaf(values[k], values[k], sum);
  }
  const float mean = block_sum<kThreads>(sum) / static_cast<float>(p.columns);
  const float inverse_rms = 1.0f / sqrtf(mean + p.epsilon);
  if (threadIdx.x == 0) p.inverse_rms[blockIdx.x] = inverse_rms;
  for (int j = begin; j < p.columns; j += kThreads * kWidth) {
    auto values = to_float(load<kWidth>(h + j));
    const auto weight = to_float(load<kWidth>(p.weight + j));
#pragma unroll
    for (int k = 0; k < kWidth; ++k) values[k] = values[k] * inverse_rms * weight[k];
    store(p.output + row + j, from_float<T>(values));
  }
}

template <typename T>
struct Backward {
  T* input_gradient;
  float* weight_sums;  // [chunks, d]
  const T* output_gradient;
  const T* residual_gradient;  // or null; may be input_gradient
  const T* input;
  const float* inverse_rms;
  const T* weight;
  int64_t tokens;
  int64_t chunk_rows;
  int columns;

  static size_t shared_bytes(int64_t columns) {
    return static_cast<size_t>(columns) * (sizeof(float) + 2 * sizeof(T));
  }
};

// The sums of kWidth neighbouring columns, in shared memory. Those of 8 columns lie in two halves
// of the row, so that the 16 bytes of neighbouring threads lie side by side, in all banks.
template <int kWidth>
constexpr int kSumParts = kWidth > kVectorWidth<float> ? kWidth / kVectorWidth<float> : 1;

template <int kWidth>
__device__ Vector<float, kWidth> load_sums(const float* sums, int column, int columns) {
  constexpr int kParts = kSumParts<kWidth>, kPart = kWidth / kParts;
  Vector<float, kWidth> result;
#pragma unroll
  for (int part = 0; part < kParts; ++part) {
    const auto values = load<kPart>(sums + (part * columns + column) / kParts);
#pragma unroll
    for (int k = 0; k < kPart; ++k) result[part * kPart + k] = values[k];
  }
  return result;
}

template <int kWidth>
__device__ void store_sums(float* sums, int column, int columns,
                           const Vector<float, kWidth>& vector) {
  constexpr int kParts = kSumParts<kWidth>, kPart = kWidth / kParts;
#pragma unroll
  for (int part = 0; part < kParts; ++part) {
    Vector<float, kPart> values;
#pragma unroll
    for (int k = 0; k < kPart; ++k) values[k] = vector[part * kPart + k];
    store(sums + (part * columns + column) / kParts, values);
  }
}

template <int kThreads, int kWidth, typename T>
__global__ void __launch_bounds__(kThreads) backward_kernel(Backward<T> p) {
  const int begin = static_cast<int>(threadIdx.x) * kWidth;
  constexpr int kStep = kThreads * kWidth;
  float* weight_sums = dynamic_shared<float>();                     // [d]
  T* gradient_row = reinterpret_cast<T*>(weight_sums + p.columns);  // [d], of the output
  T* h_row = gradient_row + p.columns;                              // [d]
  for (int j = begin; j < p.columns; j += kStep) {
    store_sums(weight_sums, j, p.columns, Vector<float, kWidth>{});
  }

  const int64_t first = blockIdx.x * p.chunk_rows;
  const int64_t last = first + p.chunk_rows < p.tokens ? first + p.chunk_rows : p.tokens;
  for (int64_t t = first; t < last; ++t) {
    const int64_t row = t * p.columns;
    const float r = p.inverse_rms[t];
    float dot = 0.0f;  // sum of g * n
    for (int j = begin; j < p.columns; j += kStep) {
      const auto gradient = load<kWidth>(p.output_gradient + row + j);
      const auto h = load<kWidth>(p.input + row + j);
      store(gradient_row + j, gradient);
      store(h_row + j, h);
      const auto weight = to_float(load<kWidth>(p.weight + j));
      auto sums = load_sums<kWidth>(weight_sums, j, p.columns);
#pragma unroll
      for (int k = 0; k < kWidth; ++k) {
        const float share = static_cast<float>(gradient[k]) * (static_cast<float>(h[k]) * r);
        sums[k] += share;
        dot = fmaf(share, weight[k], dot);
      }
      store_sums(weight_sums, j, p.columns, sums);
    }
    const float mean = block_sum<kThreads>(dot) / static_cast<float>(p.columns);
    for (int j = begin; j < p.columns; j += kStep) {
      const auto gradient = to_float(load<kWidth>(gradient_row + j));
      const auto h = to_float(load<kWidth>(h_row + j));
      const auto weight = to_float(load<kWidth>(p.weight + j));
      Vector<float, kWidth> dh = {};
      if (p.residual_gradient) dh = to_float(load<kWidth>(p.residual_gradient + row + j));
#pragma unroll
      for (int k = 0; k < kWidth; ++k) {
        dh[k] = fmaf(r, gradient[k] * weight[k] - h[k] * r * mean, dh[k]);
      }
      store(p.input_gradient + row + j, from_float<T>(dh));
    }
  }
  for (int j = begin; j < p.columns; j += kStep) {
    store(p.weight_sums + static_cast<int64_t>(blockIdx.x) * p.columns + j,
          load_sums<kWidth>(weight_sums, j, p.columns));
  }
}

constexpr int kGroups = 16;  // of chunks, a warp each

// A block for 32 columns: warp w adds chunks w, w + 16, ...; the first warp adds the warps' sums.
template <typename G>
__global__ void __launch_bounds__(kGroups* kWarpSize)
    add_chunks_kernel(G* __restrict__ weight_gradient, const float* __restrict__ weight_sums,
                      int64_t chunks, int columns) {
  __shared__ SharedArray<float, kGroups * kWarpSize> of_groups;
  const int column = static_cast<int>(blockIdx.x) * kWarpSize + lane();
  if (column >= columns) return;
  float sum = 0.0f;
#pragma unroll 8
  for (int64_t chunk = warp_index(); chunk < chunks; chunk += kGroups) {
    sum += weight_sums[chunk * columns + column];
  }
  of_groups[static_cast<int>(threadIdx.x)] = sum;
  __syncthreads();
  if (warp_index() != 0) return;
  float total = 0.0f;
  for (int group = 0; group < kGroups; ++group) total += of_groups[group * kWarpSize + lane()];
  weight_gradient[column] = G(static_cast<float>(weight_gradient[column]) + total);
}

// Chunks follow from T alone. So many fill a large GPU several times over, and their sums are small
// beside the rows.
constexpr int64_t kMinRows = 4;
constexpr int64_t kMaxChunks = 512;

int64_t rows_per_chunk(int64_t tokens) { return std::max(kMinRows, divide_up(tokens, kMaxChunks)); }

int64_t chunk_count(int64_t tokens) { return divide_up(tokens, rows_per_chunk(tokens)); }

}  // namespace

void rmsnorm_forward(const RmsNormForward& args, Stream stream) {
  const int64_t tokens = args.input.shape[0];
  const int64_t columns = args.input.shape[1];
  CRIA_ASSERT(static_cast<bool>(args.residual) == static_cast<bool>(args.residual_output));
  CRIA_ASSERT(args.weight.size() == columns);
  if (tokens == 0) return;
  visit_dtype(args.input.dtype, [&]<typename T>() {
    const Forward<T> parameters{
        .output = args.output.as<T>(),
        .residual_output = args.residual ? args.residual_output.as<T>() : nullptr,
        .inverse_rms = args.inverse_rms.as<float>(),
        .input = args.input.as<T>(),
        .residual = args.residual ? args.residual.as<T>() : nullptr,
        .weight = args.weight.as<T>(),
        .columns = static_cast<int>(columns),
        .epsilon = args.epsilon};
    visit_width<kVectorWidth<T>>(
        columns, {args.output, args.residual_output, args.input, args.residual, args.weight},
        [&]<int kWidth>() {
          visit_threads(columns / kWidth, [&]<int kThreads>() {
            launch(forward_kernel<kThreads, kWidth, T>, dim3(static_cast<unsigned>(tokens)),
                   dim3(kThreads), static_cast<size_t>(columns) * sizeof(T), stream, parameters);
          });
        });
  });
}

size_t rmsnorm_backward_workspace_bytes(int64_t tokens, int64_t hidden_size) {
  return static_cast<size_t>(chunk_count(tokens) * hidden_size) * sizeof(float);
}

void rmsnorm_backward(const RmsNormBackward& args, Stream stream) {
  const int64_t tokens = args.input.shape[0];
  const int64_t columns = args.input.shape[1];
  const int64_t chunks = chunk_count(tokens);
  CRIA_ASSERT(args.weight.size() == columns && args.weight_gradient.size() == columns);
  CRIA_ASSERT(args.workspace.bytes() >= rmsnorm_backward_workspace_bytes(tokens, columns));
  if (tokens == 0) return;
  const Tensor weight_sums{.data = args.workspace.data, .shape = {chunks, columns}};
  visit_dtype(args.input.dtype, [&]<typename T>() {
    const Backward<T> parameters{
        .input_gradient = args.input_gradient.as<T>(),
        .weight_sums = weight_sums.as<float>(),
        .output_gradient = args.output_gradient.as<T>(),
        .residual_gradient = args.residual_gradient ? args.residual_gradient.as<T>() : nullptr,
        .input = args.input.as<T>(),
        .inverse_rms = args.inverse_rms.as<float>(),
        .weight = args.weight.as<T>(),
        .tokens = tokens,
        .chunk_rows = rows_per_chunk(tokens),
        .columns = static_cast<int>(columns)};
    visit_width<kVectorWidth<T>>(columns,
                                 {args.input_gradient, args.output_gradient, args.residual_gradient,
                                  args.input, args.weight, weight_sums},
                                 [&]<int kWidth>() {
                                   visit_threads(columns / kWidth, [&]<int kThreads>() {
                                     launch(backward_kernel<kThreads, kWidth, T>,
                                            dim3(static_cast<unsigned>(chunks)), dim3(kThreads),
                                            Backward<T>::shared_bytes(columns), stream, parameters);
                                   });
                                 });
  });
  visit_dtype(args.weight_gradient.dtype, [&]<typename G>() {
    launch(add_chunks_kernel<G>, dim3(static_cast<unsigned>(divide_up(columns, kWarpSize))),
           dim3(kGroups * kWarpSize), 0, stream, args.weight_gradient.as<G>(),
           weight_sums.as<float>(), chunks, static_cast<int>(columns));
  });
}

}  // namespace cria::CRIA_GPU
