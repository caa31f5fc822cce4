#include "cria/optim/optimizer.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace cria {

Optimizer::Optimizer(Model& model, const OptimizerOptions& options)
    : model_(model),
      options_(options),
      gradients_(model.weights.layout(), options.gradient_dtype),
      first_moment_(model.weights.layout(), options.moment_dtype),
      second_moment_(model.weights.layout(), options.moment_dtype) {
  if (model.dtype() != DType::f32) {
    masters_ = std::make_unique<ParameterSet>(model.weights.layout(), DType::f32);
  }
}

void Optimizer::reserve(Arena& arena) {
  if (masters_) masters_->reserve(arena, "master weights");
  gradients_.reserve(arena, "gradients");
  first_moment_.reserve(arena, "optimizer");
  second_moment_.reserve(arena, "optimizer");
  arena.reserve(sums_, "optimizer", DType::f32,
                Shape{static_cast<int64_t>(gradients_.block_count())});
  int64_t largest = 0;
  for (const ParameterBlock& block : model_.weights.layout().blocks()) {
    largest = std::max(largest, block.size);
  }
  arena.reserve_workspace(workspace_, model_.backend().sum_of_squares_workspace_bytes(largest));
}

void Optimizer::masters_changed() {
  if (masters_) {
    for (size_t block = 0; block < masters_->block_count(); ++block) {
      model_.backend().cast(model_.weights.block(block), masters_->block(block));
    }
  }
  model_.weights_changed();
}

void Optimizer::zero_gradients() {
  for (size_t block = 0; block < gradients_.block_count(); ++block) {
    model_.backend().zero(gradients_.block(block));
  }
}

void Optimizer::start_reduction(Reduction& reduction, size_t block) {
  CRIA_ASSERT(block + started_sums_ + 1 == gradients_.block_count());
  reduction.start(gradients_.block(block));
  ++started_sums_;
}

void Optimizer::finish_reduction(Reduction& reduction) {
  const size_t count = gradients_.block_count();
  while (started_sums_ < count) start_reduction(reduction, count - 1 - started_sums_);
  reduction.finish();
  started_sums_ = 0;
}

void Optimizer::sum_squares(Tensor sum, Tensor values) {
  model_.backend().sum_of_squares({.output = sum, .input = values, .workspace = workspace_});
}

// The host waits for the device once.
double Optimizer::gradient_norm() {
  const auto count = static_cast<int64_t>(gradients_.block_count());
  for (int64_t block = 0; block < count; ++block) {
    sum_squares(sums_.flat(block, 1), gradients_.block(static_cast<size_t>(block)));
  }
  std::vector<float> sums(static_cast<size_t>(count));
  model_.backend().copy_to_host(sums.data(), sums_);
  return std::sqrt(std::accumulate(sums.begin(), sums.end(), 0.0));
}

std::string Optimizer::first_non_finite_gradient() {
  const std::vector<ParameterBlock>& blocks = gradients_.layout().blocks();
  for (size_t block = 0; block < blocks.size(); ++block) {
    for (const ParameterTensor& tensor : blocks[block].tensors) {
      const Tensor values = gradients_.view(block, tensor);
      sum_squares(sums_.flat(0, 1), values.flat(0, values.size()));
      float sum = 0;
      model_.backend().copy_to_host(&sum, sums_.flat(0, 1));
      if (!std::isfinite(sum)) return tensor.name;
    }
  }
  return {};
}

void Optimizer::update(int64_t step, double learning_rate, double gradient_norm) {
  double scale = 1.0;
  if (options_.max_grad_norm > 0) {
    scale = std::min(1.0, options_.max_grad_norm / (gradient_norm + 1e-6));  // as torch clips
  }
  const ParameterLayout& layout = gradients_.layout();
  for (size_t block = 0; block < layout.blocks().size(); ++block) {
    const int64_t size = layout.blocks()[block].size;
    const int64_t decay_from = layout.blocks()[block].decay_from;
    const auto update_span = [&](int64_t begin, int64_t end, double weight_decay) {
      if (begin == end) return;
      const auto span = [&](const ParameterSet& set) {
        return set.block(block).flat(begin, end - begin);
      };
      model_.backend().adamw({
          .parameters = span(masters()),
          .compute_copy = masters_ ? span(model_.weights) : Tensor{},
          .first_moment = span(first_moment_),
          .second_moment = span(second_moment_),
          .gradient = span(gradients_),
          .learning_rate = static_cast<float>(learning_rate),
          .beta1 = static_cast<float>(options_.beta1),
          .beta2 = static_cast<float>(options_.beta2),
          .epsilon = static_cast<float>(options_.epsilon),
          .weight_decay = static_cast<float>(weight_decay),
          .gradient_scale = static_cast<float>(scale),
          .step = step,
          .seed = options_.seed,
          .first_element = static_cast<uint64_t>(layout.block_begin(block) + begin),
      });
    };
    update_span(0, decay_from, 0.0);
    update_span(decay_from, size, options_.weight_decay);
  }
  model_.weights_changed();
}

}  // namespace cria
