#include <cmath>

#include "cria/core/parallel.h"

#include "cpu_ops.h"
#include "vector_math.h"

namespace cria::cpu {

namespace {

constexpr int64_t kMinRows = 16;     // rows that a thread should have, and the least in a chunk
constexpr int64_t kMaxChunks = 128;  // of rows: bounds the workspace

// Rows of a chunk of the weight gradient: they follow from T alone, so the sum does not depend on
// the thread count.
int64_t rows_per_chunk(int64_t tokens) {
  return std::max(kMinRows, (tokens + kMaxChunks - 1) / kMaxChunks);
}

int64_t chunk_count(int64_t tokens) {
  return (tokens + rows_per_chunk(tokens) - 1) / rows_per_chunk(tokens);
}

template <typename T>
void forward_row(T* output, const T* h, const T* weight, int64_t columns, float inverse_rms) {
#pragma omp simd
  for (int64_t j = 0; j < columns; ++j) {
    store(output[j], static_cast<float>(h[j]) * inverse_rms * static_cast<float>(weight[j]));
  }
}

template <typename T>
float sum_of_squares_of_row(const T* h, int64_t columns) {
  float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
  for (int64_t j = 0; j < columns; ++j) {
    sum += static_cast<float>(h[j]) * static_cast<float>(h[j]);
  }
  return sum;
}

// dh of one row; its share of the weight gradient is added to weight_sum.
template <typename T>
void backward_row(T* input_gradient, float* weight_sum, const T* output_gradient,
                  const T* residual_gradient, const T* h, const T* weight, float inverse_rms,
                  int64_t columns) {
  float dot = 0.0f;  // sum of g * n
#pragma omp simd reduction(+ : dot)
  for (int64_t j = 0; j < columns; ++j) {
    const float n = static_cast<float>(h[j]) * inverse_rms;
    const float contribution = static_cast<float>(output_gradient[j]) * n;
    weight_sum[j] += contribution;
    dot += contribution * static_cast<float>(weight[j]);
  }
  const float mean = dot / static_cast<float>(columns);
  const auto dh = [=](int64_t j) {
    const float n = static_cast<float>(h[j]) * inverse_rms;
    const float g = static_cast<float>(output_gradient[j]) * static_cast<float>(weight[j]);
    return inverse_rms * (g - n * mean);
  };
  if (residual_gradient) {
#pragma omp simd
    for (int64_t j = 0; j < columns; ++j) {
      store(input_gradient[j], dh(j) + static_cast<float>(residual_gradient[j]));
    }
  } else {
#pragma omp simd
    for (int64_t j = 0; j < columns; ++j) store(input_gradient[j], dh(j));
  }
}

}  // namespace

void rmsnorm_forward(const RmsNormForward& args) {
  const int64_t tokens = args.input.shape[0];
  const int64_t columns = args.input.shape[1];
  CRIA_ASSERT(static_cast<bool>(args.residual) == static_cast<bool>(args.residual_output));
  visit_dtype(args.input.dtype, [&]<typename T>() {
    const T* input = args.input.as<T>();
    const T* residual = args.residual ? args.residual.as<T>() : nullptr;
    T* residual_output = args.residual ? args.residual_output.as<T>() : nullptr;
    const T* weight = args.weight.as<T>();
    T* output = args.output.as<T>();
    float* inverse_rms = args.inverse_rms.as<float>();
    parallel_for(tokens, kMinRows, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        const int64_t row = t * columns;
        const T* h = input + row;
        if (residual) {
#pragma omp simd
          for (int64_t j = 0; j < columns; ++j) {
            store(residual_output[row + j],
                  static_cast<float>(input[row + j]) + static_cast<float>(residual[row + j]));
          }
          h = residual_output + row;
        }
        const float mean = sum_of_squares_of_row(h, columns) / static_cast<float>(columns);
        inverse_rms[t] = 1.0f / std::sqrt(mean + args.epsilon);
        forward_row(output + row, h, weight, columns, inverse_rms[t]);
      }
    });
  });
}

size_t rmsnorm_backward_workspace_bytes(int64_t tokens, int64_t hidden_size) {
  return static_cast<size_t>(chunk_count(tokens) * hidden_size) * sizeof(float);
}

void rmsnorm_backward(const RmsNormBackward& args) {
  const int64_t tokens = args.input.shape[0];
  const int64_t columns = args.input.shape[1];
  const int64_t chunks = chunk_count(tokens);
  const int64_t chunk_rows = rows_per_chunk(tokens);
  if (tokens == 0) return;
  CRIA_ASSERT(args.workspace.bytes() >= rmsnorm_backward_workspace_bytes(tokens, columns));
  auto* weight_sums = static_cast<float*>(args.workspace.data);  // [chunks, d]

  visit_dtype(args.input.dtype, [&]<typename T>() {
    const T* input = args.input.as<T>();
    const T* weight = args.weight.as<T>();
    const T* output_gradient = args.output_gradient.as<T>();
    const T* residual_gradient = args.residual_gradient ? args.residual_gradient.as<T>() : nullptr;
    const float* inverse_rms = args.inverse_rms.as<float>();
    T* input_gradient = args.input_gradient.as<T>();
    parallel_for(chunks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t chunk = begin; chunk < end; ++chunk) {
        float* weight_sum = weight_sums + chunk * columns;
        std::fill_n(weight_sum, columns, 0.0f);
        const int64_t last = std::min(tokens, (chunk + 1) * chunk_rows);
        for (int64_t t = chunk * chunk_rows; t < last; ++t) {
          const int64_t row = t * columns;
          backward_row(input_gradient + row, weight_sum, output_gradient + row,
                       residual_gradient ? residual_gradient + row : nullptr, input + row, weight,
                       inverse_rms[t], columns);
        }
      }
    });
  });

  visit_dtype(args.weight_gradient.dtype, [&]<typename G>() {
    G* weight_gradient = args.weight_gradient.as<G>();
    parallel_for(columns, 256, [&](int64_t begin, int64_t end) {
      for (int64_t chunk = 1; chunk < chunks; ++chunk) {
#pragma omp simd
        for (int64_t j = begin; j < end; ++j) weight_sums[j] += weight_sums[chunk * columns + j];
      }
#pragma omp simd
      for (int64_t j = begin; j < end; ++j) {
        store(weight_gradient[j], static_cast<float>(weight_gradient[j]) + weight_sums[j]);
      }
    });
  });
}

}  // namespace cria::cpu
