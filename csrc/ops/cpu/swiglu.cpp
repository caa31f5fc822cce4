#include "cria/core/parallel.h"

#include "cpu_ops.h"
#include "vector_math.h"

namespace cria::cpu {

namespace {

constexpr int64_t kRows = 8;  // that a thread should have

inline float sigmoid(float x) { return 1.0f / (1.0f + fast_exp(-x)); }

}  // namespace

void swiglu_forward(const SwigluForward& args) {
  const int64_t tokens = args.output.shape[0];
  const int64_t columns = args.output.shape[1];
  CRIA_ASSERT(args.gate_up.shape[1] == 2 * columns);
  visit_dtype(args.output.dtype, [&]<typename T>() {
    const T* gate_up = args.gate_up.as<T>();
    T* outputs = args.output.as<T>();
    parallel_for(tokens, kRows, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        const T* gate = gate_up + t * 2 * columns;
        const T* up = gate + columns;
        T* output = outputs + t * columns;
#pragma omp simd
        for (int64_t j = 0; j < columns; ++j) {
          const float x = static_cast<float>(gate[j]);
          store(output[j], x * sigmoid(x) * static_cast<float>(up[j]));
        }
      }
    });
  });
}

void swiglu_backward(const SwigluBackward& args) {
  const int64_t tokens = args.output_gradient.shape[0];
  const int64_t columns = args.output_gradient.shape[1];
  CRIA_ASSERT(args.gate_up.shape[1] == 2 * columns);
  visit_dtype(args.output_gradient.dtype, [&]<typename T>() {
    const T* gate_up = args.gate_up.as<T>();
    const T* output_gradients = args.output_gradient.as<T>();
    T* gate_up_gradients = args.gate_up_gradient.as<T>();
    T* outputs = args.output ? args.output.as<T>() : nullptr;
    const auto backward_rows = [&]<bool kWithOutput>(int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        const T* gate = gate_up + t * 2 * columns;
        const T* up = gate + columns;
        const T* output_gradient = output_gradients + t * columns;
        T* gate_gradient = gate_up_gradients + t * 2 * columns;
        T* up_gradient = gate_gradient + columns;
        [[maybe_unused]] T* output = outputs + t * columns;
#pragma omp simd
        for (int64_t j = 0; j < columns; ++j) {
          const float x = static_cast<float>(gate[j]);
          const float u = static_cast<float>(up[j]);
          const float s = sigmoid(x);
          const float dy = static_cast<float>(output_gradient[j]);
          const float gate_slope = s * (1.0f + x * (1.0f - s));
          store(gate_gradient[j], dy * u * gate_slope);
          store(up_gradient[j], dy * x * s);
          if constexpr (kWithOutput) store(output[j], x * s * u);
        }
      }
    };
    parallel_for(tokens, kRows, [&](int64_t begin, int64_t end) {
      if (outputs) {
        backward_rows.template operator()<true>(begin, end);
      } else {
        backward_rows.template operator()<false>(begin, end);
      }
    });
  });
}

}  // namespace cria::cpu
