#include <algorithm>

#include "cria/core/parallel.h"

#include "cpu_ops.h"
#include "vector_math.h"

namespace cria::cpu {

namespace {

template <typename T>
void forward(const ScoreHeadForward& args) {
  const int64_t d = args.weight.size();
  const T* hidden = args.hidden.as<T>();
  const T* weight = args.weight.as<T>();
  const int32_t* rows = args.rows.as<int32_t>();
  float* scores = args.scores.as<float>();
  parallel_for(args.rows.size(), 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const T* row = hidden + rows[i] * d;
      float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
      for (int64_t j = 0; j < d; ++j) sum += static_cast<float>(row[j]) * weight[j];
      scores[i] = sum;
    }
  });
}

template <typename T>
void backward_hidden(const ScoreHeadBackward& args) {
  const int64_t d = args.weight.size();
  const T* weight = args.weight.as<T>();
  const int32_t* rows = args.rows.as<int32_t>();
  const float* score_gradients = args.score_gradients.as<float>();
  T* hidden_gradient = args.hidden_gradient.as<T>();
  zero(args.hidden_gradient);
  parallel_for(args.rows.size(), 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      T* row = hidden_gradient + rows[i] * d;
      for (int64_t j = 0; j < d; ++j) {
        row[j] = T(score_gradients[i] * static_cast<float>(weight[j]));
      }
    }
  });
}

// A thread owns some columns and walks down all rows, so that the order of every sum is that of the
// rows. fma by name: whole vectors and their tails must round alike wherever the columns are cut.
template <typename T, typename G>
void backward_weight(const ScoreHeadBackward& args) {
  constexpr int64_t kColumns = 64;
  const int64_t d = args.weight.size();
  const int64_t row_count = args.rows.size();
  const T* hidden = args.hidden.as<T>();
  const int32_t* rows = args.rows.as<int32_t>();
  const float* score_gradients = args.score_gradients.as<float>();
  G* weight_gradient = args.weight_gradient.as<G>();
  parallel_for((d + kColumns - 1) / kColumns, 1, [&](int64_t first, int64_t last) {
    for (int64_t block = first; block < last; ++block) {
      const int64_t begin = block * kColumns;
      const int64_t count = std::min(kColumns, d - begin);
      float sums[kColumns] = {};
      for (int64_t i = 0; i < row_count; ++i) {
        const T* row = hidden + rows[i] * d + begin;
        const float gradient = score_gradients[i];
#pragma omp simd
        for (int64_t j = 0; j < count; ++j) {
          sums[j] = std::fma(gradient, static_cast<float>(row[j]), sums[j]);
        }
      }
      for (int64_t j = 0; j < count; ++j) {
        weight_gradient[begin + j] = G(static_cast<float>(weight_gradient[begin + j]) + sums[j]);
      }
    }
  });
}

}  // namespace

void score_head_forward(const ScoreHeadForward& args) {
  CRIA_ASSERT(args.scores.size() == args.rows.size());
  CRIA_ASSERT(args.hidden.shape[1] == args.weight.size());
  visit_dtype(args.hidden.dtype, [&]<typename T>() { forward<T>(args); });
}

size_t score_head_backward_workspace_bytes(int64_t, int64_t) { return 0; }

void score_head_backward(const ScoreHeadBackward& args) {
  CRIA_ASSERT(args.score_gradients.size() == args.rows.size());
  CRIA_ASSERT(args.hidden.shape[1] == args.weight.size());
  CRIA_ASSERT(args.hidden_gradient.shape == args.hidden.shape);
  CRIA_ASSERT(args.weight_gradient.size() == args.weight.size());
  visit_dtype(args.hidden.dtype, [&]<typename T>() {
    backward_hidden<T>(args);
    visit_dtype(args.weight_gradient.dtype, [&]<typename G>() { backward_weight<T, G>(args); });
  });
}

}  // namespace cria::cpu
