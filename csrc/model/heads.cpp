#include "cria/model/heads.h"

namespace cria {

void LanguageHead::reserve(Arena& arena, const Model& model) {
  for (Tensor* tensor : {&all_logprobs_, &all_entropies_, &all_gradients_, &all_old_logprobs_}) {
    arena.reserve(*tensor, "activations", DType::f32, Shape{max_tokens_});
  }
  arena.reserve(all_predictions_, "activations", DType::i32, Shape{max_tokens_});
  arena.reserve_workspace(workspace_, model.backend().token_logprob_workspace_bytes(
                                          max_tokens_, model.config().hidden_size,
                                          model.config().vocab_size, model.dtype()));
}

void LanguageHead::use(int64_t tokens) {
  logprobs_ = all_logprobs_.rows(0, tokens);
  entropies_ = all_entropies_.rows(0, tokens);
  predictions_ = all_predictions_.rows(0, tokens);
  gradients_ = all_gradients_.rows(0, tokens);
  old_logprobs_ = all_old_logprobs_.rows(0, tokens);
}

LanguageHead::Result LanguageHead::download(Backend& backend) const {
  const auto tokens = static_cast<size_t>(logprobs_.size());
  Result result{.logprobs = std::vector<float>(tokens),
                .entropies = std::vector<float>(tokens),
                .predictions = std::vector<int32_t>(tokens)};
  backend.copy_to_host(result.logprobs.data(), logprobs_);
  backend.copy_to_host(result.entropies.data(), entropies_);
  backend.copy_to_host(result.predictions.data(), predictions_);
  return result;
}

LanguageHead::Result LanguageHead::forward(const Model& model, const Activations& activations,
                                           const DeviceBatch& batch, float temperature) {
  use(batch.tokens());
  model.backend().token_logprob_forward({.logprobs = logprobs_,
                                         .entropies = entropies_,
                                         .predictions = predictions_,
                                         .hidden = activations.hidden,
                                         .head = model.linear(model.weights.language_head()),
                                         .targets = batch.targets,
                                         .max_targets = batch.target_count(),
                                         .temperature = temperature,
                                         .workspace = workspace_});
  return download(model.backend());
}

LanguageHead::Result LanguageHead::forward_backward(const Model& model, ParameterSet& gradients,
                                                    Activations& activations,
                                                    const DeviceBatch& batch,
                                                    std::span<const float> logprob_gradients) {
  use(batch.tokens());
  return run_fused({}, model, gradients, activations, batch, logprob_gradients);
}

LanguageHead::Result LanguageHead::forward_backward(const Model& model, ParameterSet& gradients,
                                                    Activations& activations,
                                                    const DeviceBatch& batch,
                                                    const Surrogate& surrogate, float temperature) {
  CRIA_ASSERT(static_cast<int64_t>(surrogate.old_logprobs.size()) == batch.tokens());
  use(batch.tokens());
  model.backend().copy_from_host(old_logprobs_, surrogate.old_logprobs.data());
  return run_fused(
      {.old_logprobs = old_logprobs_, .cliprange = surrogate.cliprange, .temperature = temperature},
      model, gradients, activations, batch, surrogate.gradients_at_ratio_one);
}

// Completes the args.
LanguageHead::Result LanguageHead::run_fused(TokenLogprobFused args, const Model& model,
                                             ParameterSet& gradients, Activations& activations,
                                             const DeviceBatch& batch,
                                             std::span<const float> logprob_gradients) {
  CRIA_ASSERT(static_cast<int64_t>(logprob_gradients.size()) == batch.tokens());
  model.backend().copy_from_host(gradients_, logprob_gradients.data());
  args.logprobs = logprobs_;
  args.entropies = entropies_;
  args.predictions = predictions_;
  args.hidden_gradient = activations.hidden_gradient;
  args.head_gradient = gradients.language_head();
  args.hidden = activations.hidden;
  args.head = model.linear(model.weights.language_head());
  args.targets = batch.targets;
  args.logprob_gradients = gradients_;
  args.max_targets = batch.target_count();
  args.workspace = workspace_;
  model.backend().token_logprob_fused(args);
  return download(model.backend());
}

void LanguageHead::backward(const Model& model, ParameterSet& gradients, Activations& activations,
                            const DeviceBatch& batch, std::span<const float> logprob_gradients,
                            float temperature) {
  CRIA_ASSERT(static_cast<int64_t>(logprob_gradients.size()) == batch.tokens());
  use(batch.tokens());
  model.backend().copy_from_host(gradients_, logprob_gradients.data());
  model.backend().token_logprob_backward({.hidden_gradient = activations.hidden_gradient,
                                          .head_gradient = gradients.language_head(),
                                          .hidden = activations.hidden,
                                          .head = model.linear(model.weights.language_head()),
                                          .targets = batch.targets,
                                          .logprob_gradients = gradients_,
                                          .max_targets = batch.target_count(),
                                          .temperature = temperature,
                                          .workspace = workspace_});
}

void ScoreHead::reserve(Arena& arena, const Model& model) {
  arena.reserve(scores_, "activations", DType::f32, Shape{max_tokens_});
  arena.reserve(rows_, "activations", DType::i32, Shape{max_tokens_});
  arena.reserve(gradients_, "activations", DType::f32, Shape{max_tokens_});
  arena.reserve_workspace(workspace_, model.backend().score_head_backward_workspace_bytes(
                                          max_tokens_, model.config().hidden_size));
}

std::vector<float> ScoreHead::forward(const Model& model, const Activations& activations,
                                      std::span<const int32_t> rows) {
  Backend& backend = model.backend();
  const auto count = static_cast<int64_t>(rows.size());
  backend.copy_from_host(rows_.rows(0, count), rows.data());
  backend.score_head_forward({.scores = scores_.rows(0, count),
                              .hidden = activations.hidden,
                              .weight = model.weights.score_head(),
                              .rows = rows_.rows(0, count)});
  std::vector<float> scores(rows.size());
  backend.copy_to_host(scores.data(), scores_.rows(0, count));
  return scores;
}

void ScoreHead::backward(const Model& model, ParameterSet& gradients, Activations& activations,
                         std::span<const int32_t> rows, std::span<const float> score_gradients) {
  CRIA_ASSERT(rows.size() == score_gradients.size());
  Backend& backend = model.backend();
  const auto count = static_cast<int64_t>(rows.size());
  backend.copy_from_host(rows_.rows(0, count), rows.data());
  backend.copy_from_host(gradients_.rows(0, count), score_gradients.data());
  backend.score_head_backward({.hidden_gradient = activations.hidden_gradient,
                               .weight_gradient = gradients.score_head(),
                               .score_gradients = gradients_.rows(0, count),
                               .hidden = activations.hidden,
                               .weight = model.weights.score_head(),
                               .rows = rows_.rows(0, count),
                               .workspace = workspace_});
}

std::vector<int32_t> last_token_rows(const PackedBatch& batch) {
  std::vector<int32_t> rows;
  for (int s = 0; s < batch.sequence_count; ++s) {
    rows.push_back(batch.sequence_offsets[static_cast<size_t>(s) + 1] - 1);
  }
  return rows;
}

std::vector<int32_t> target_rows(const PackedBatch& batch) {
  std::vector<int32_t> rows;
  for (size_t t = 0; t < batch.targets.size(); ++t) {
    if (batch.targets[t] >= 0) rows.push_back(static_cast<int32_t>(t));
  }
  return rows;
}

}  // namespace cria
