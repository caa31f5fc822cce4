#include <cmath>

#include "cria/core/parallel.h"
#include "cria/core/random.h"

#include "cpu_ops.h"
#include "vector_math.h"

namespace cria::cpu {

namespace {

constexpr int64_t kBlock = 1024;  // elements whose random words are kept on the stack

// What the elements of one call share, the bias corrections included.
struct Update {
  float gradient_scale, beta1, beta2, learning_rate, decay, epsilon, correction1, correction2;

  explicit Update(const AdamW& args)
      : gradient_scale(args.gradient_scale),
        beta1(args.beta1),
        beta2(args.beta2),
        learning_rate(args.learning_rate),
        decay(args.learning_rate * args.weight_decay),
        epsilon(args.epsilon),
        correction1(correction(args.beta1, args.step)),
        correction2(correction(args.beta2, args.step)) {}

  // 1 - beta^step, where fp32 would cancel.
  static float correction(float beta, int64_t step) {
    return static_cast<float>(1.0 - std::pow(static_cast<double>(beta), static_cast<double>(step)));
  }
};

// The random words of a block: one Philox block for each element, its first word for the first
// moment and its second for the second.
struct RoundingWords {
  uint32_t first[kBlock];
  uint32_t second[kBlock];
};

void draw_words(RoundingWords& words, Random random, uint64_t position, int64_t count) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) {
    const PhiloxBlock block = random.words(position + static_cast<uint64_t>(i));
    words.first[i] = block[0];
    words.second[i] = block[1];
  }
}

inline void store_moment(float& moment, float value, uint32_t /*random*/) { moment = value; }
inline void store_moment(bf16& moment, float value, uint32_t random) {
  moment.bits = round_stochastically(value, random).bits;
}

template <typename G, typename M>
void update_block(float* parameters, const G* gradient, M* first_moment, M* second_moment,
                  int64_t count, const Update& u, const RoundingWords& random) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) {
    const float g = u.gradient_scale * static_cast<float>(gradient[i]);
    const float m = u.beta1 * static_cast<float>(first_moment[i]) + (1.0f - u.beta1) * g;
    const float v = u.beta2 * static_cast<float>(second_moment[i]) + (1.0f - u.beta2) * g * g;
    const float w = parameters[i] - u.decay * parameters[i];
    parameters[i] =
        w - u.learning_rate * (m / u.correction1) / (std::sqrt(v / u.correction2) + u.epsilon);
    store_moment(first_moment[i], m, random.first[i]);
    store_moment(second_moment[i], v, random.second[i]);
  }
}

}  // namespace

void adamw(const AdamW& args) {
  const int64_t elements = args.parameters.size();
  CRIA_ASSERT(args.step >= 1 && args.first_moment.dtype == args.second_moment.dtype);
  const Update update(args);
  const Random random(args.seed, Purpose::stochastic_rounding, static_cast<uint64_t>(args.step));
  float* parameters = args.parameters.as<float>();
  bf16* compute_copy = args.compute_copy ? args.compute_copy.as<bf16>() : nullptr;

  visit_dtype(args.gradient.dtype, [&]<typename G>() {
    visit_dtype(args.first_moment.dtype, [&]<typename M>() {
      const G* gradient = args.gradient.as<G>();
      M* first_moment = args.first_moment.as<M>();
      M* second_moment = args.second_moment.as<M>();
      parallel_for(elements, 8 * kBlock, [&](int64_t begin, int64_t end) {
        RoundingWords words;
        for (int64_t i = begin; i < end; i += kBlock) {
          const int64_t count = std::min(kBlock, end - i);
          if constexpr (std::is_same_v<M, bf16>) {
            draw_words(words, random, args.first_element + static_cast<uint64_t>(i), count);
          }
          update_block(parameters + i, gradient + i, first_moment + i, second_moment + i, count,
                       update, words);
          if (compute_copy) {
#pragma omp simd
            for (int64_t j = i; j < i + count; ++j) store(compute_copy[j], parameters[j]);
          }
        }
      });
    });
  });
}

}  // namespace cria::cpu
