// AdamW over the flat blocks of a model, with global-norm clipping. Weight decay applies to
// matrices (embeddings and score head included), not to norms.
//
// With an fp32 model its weights are the masters; with a bf16 model fp32 masters live here and the
// model's weights are the copy that each update refreshes.
#pragma once

#include <memory>

#include "cria/dist/reduction.h"
#include "cria/model/model.h"

namespace cria {

struct OptimizerOptions {
  double beta1 = 0.9;
  double beta2 = 0.95;
  double epsilon = 1e-5;
  double weight_decay = 0.1;
  double max_grad_norm = 1.0;  // 0: no clipping
  DType gradient_dtype = DType::f32;
  DType moment_dtype = DType::f32;
  uint64_t seed = 0;  // stochastic rounding of bf16 moments
};

class Optimizer {
 public:
  Optimizer(Model& model, const OptimizerOptions& options);

  void reserve(Arena& arena);

  // fp32 weights as loaded, initialised or saved. After writing to them: masters_changed().
  ParameterSet& masters() { return masters_ ? *masters_ : model_.weights; }
  void masters_changed();

  ParameterSet& gradients() { return gradients_; }
  ParameterSet& first_moment() { return first_moment_; }
  ParameterSet& second_moment() { return second_moment_; }

  void zero_gradients();

  // Sums the gradients over the ranks, each block once a step: from the head to the embedding, the
  // order in which a backward pass completes them.
  void start_reduction(Reduction& reduction, size_t block);
  // Starts the sums that no pass of this rank started, and ends all.
  void finish_reduction(Reduction& reduction);

  // sqrt of the sum of squares of all gradients; not finite when one of them is not.
  double gradient_norm();

  // Clips by the norm just measured, then updates. `step` from 1.
  void update(int64_t step, double learning_rate, double gradient_norm);

  // Name of the first gradient with an element that is not finite; empty when there is none.
  std::string first_non_finite_gradient();

 private:
  void sum_squares(Tensor sum, Tensor values);

  Model& model_;
  const OptimizerOptions options_;
  std::unique_ptr<ParameterSet> masters_;  // of a bf16 model only
  ParameterSet gradients_;
  ParameterSet first_moment_;
  ParameterSet second_moment_;
  Tensor sums_;  // [blocks] fp32
  Tensor workspace_;
  size_t started_sums_ = 0;
};

}  // namespace cria
