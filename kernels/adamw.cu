// AdamW on flat buffers: a thread for each 4 neighbouring elements. Memory: weights and moments
// read and written, the gradient read, the bf16 copy written, once each; 28 bytes an element in
// fp32, 22 with bf16 moments, gradient and copy.
//
// fmaf by name: an element must come out the same wherever a buffer is cut into calls and vectors.
#include <cmath>

#include "cria/core/random.h"
#include "cria/ops/adamw.h"

#include "kernels/device/access_width.h"
#include "kernels/device/device.h"
#include "kernels/device/vector.h"
#include "kernels/ops.h"

namespace cria::CRIA_GPU {

namespace {

constexpr int kThreads = 256;
constexpr int kElements = kVectorWidth<float>;  // a 16-byte access of the weights

template <typename G, typename M>
struct Buffers {
  float* parameters;
  bf16* compute_copy;  // or null
  M* first_moment;
  M* second_moment;
  const G* gradient;
  int64_t elements;
  uint64_t first_element;
};

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

template <int kWidth, typename G, typename M>
__device__ void update(const Buffers<G, M>& b, const Update& u, const Random& random,
                       int64_t first) {
  auto weight = load<kWidth>(b.parameters + first);
  const auto gradient = to_float(load<kWidth>(b.gradient + first));
  auto first_moment = load<kWidth>(b.first_moment + first);
  auto second_moment = load<kWidth>(b.second_moment + first);
#pragma unroll
  for (int k = 0; k < kWidth; ++k) {
    const float g = u.gradient_scale * gradient[k];
    const float m = fmaf(u.beta1, static_cast<float>(first_moment[k]), (1.0f - u.beta1) * g);
    const float v = fmaf(u.beta2, static_cast<float>(second_moment[k]), (1.0f - u.beta2) * g * g);
    const float step =
        u.learning_rate * (m / u.correction1) / (sqrtf(v / u.correction2) + u.epsilon);
    weight[k] = fmaf(-u.decay, weight[k], weight[k]) - step;
    if constexpr (std::is_same_v<M, bf16>) {
      const PhiloxBlock words = random.words(b.first_element + static_cast<uint64_t>(first + k));
      first_moment[k] = round_stochastically(m, words[0]);
      second_moment[k] = round_stochastically(v, words[1]);
    } else {
      first_moment[k] = m;
      second_moment[k] = v;
    }
  }
  store(b.parameters + first, weight);
  store(b.first_moment + first, first_moment);
  store(b.second_moment + first, second_moment);
  if (b.compute_copy) store(b.compute_copy + first, from_float<bf16>(weight));
}

template <int kWidth, typename G, typename M>
__global__ void __launch_bounds__(kThreads)
    adamw_kernel(Buffers<G, M> buffers, Update shared, Random random) {
  const int64_t first = flat_item() * kWidth;
  if (first + kWidth <= buffers.elements) {
    update<kWidth>(buffers, shared, random, first);
  } else {
    for (int64_t i = first; i < buffers.elements; ++i) update<1>(buffers, shared, random, i);
  }
}

}  // namespace

void adamw(const AdamW& args, Stream stream) {
  const int64_t elements = args.parameters.size();
  CRIA_ASSERT(args.step >= 1 && args.first_moment.dtype == args.second_moment.dtype);
  CRIA_ASSERT(args.first_moment.size() == elements && args.second_moment.size() == elements);
  CRIA_ASSERT(args.gradient.size() == elements);
  CRIA_ASSERT(!args.compute_copy || args.compute_copy.size() == elements);
  if (elements == 0) return;
  const Random random(args.seed, Purpose::stochastic_rounding, static_cast<uint64_t>(args.step));
  visit_dtype(args.gradient.dtype, [&]<typename G>() {
    visit_dtype(args.first_moment.dtype, [&]<typename M>() {
      const Buffers<G, M> buffers{
          .parameters = args.parameters.as<float>(),
          .compute_copy = args.compute_copy ? args.compute_copy.as<bf16>() : nullptr,
          .first_moment = args.first_moment.as<M>(),
          .second_moment = args.second_moment.as<M>(),
          .gradient = args.gradient.as<G>(),
          .elements = elements,
          .first_element = args.first_element};
      visit_width<kElements>(0,
                             {args.parameters, args.compute_copy, args.first_moment,
                              args.second_moment, args.gradient},
                             [&]<int kWidth>() {
                               launch(adamw_kernel<kWidth, G, M>,
                                      flat_grid<kThreads>(divide_up(elements, kWidth)),
                                      dim3(kThreads), 0, stream, buffers, Update(args), random);
                             });
    });
  });
}

}  // namespace cria::CRIA_GPU
