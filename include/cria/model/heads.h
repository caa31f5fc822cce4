// The two heads on top of the transformer. Trainers see nothing else of the model: the language
// head gives log-probabilities and takes dL/dlogprob, the score head gives scores and takes
// dL/dscore. Figures of tokens are few, so they live on the host between the two.
#pragma once

#include <span>
#include <vector>

#include "cria/model/transformer.h"

namespace cria {

class LanguageHead {
 public:
  explicit LanguageHead(int64_t max_tokens) : max_tokens_(round_up_tokens(max_tokens)) {}
  LanguageHead(const LanguageHead&) = delete;
  LanguageHead& operator=(const LanguageHead&) = delete;

  void reserve(Arena& arena, const Model& model);

  // What a pass found for each token t of the batch; 0 (prediction -1) where the batch has no
  // target.
  struct Result {
    std::vector<float> logprobs;       // of targets[t]
    std::vector<float> entropies;      // of the whole distribution
    std::vector<int32_t> predictions;  // the likeliest id
  };

  Result forward(const Model& model, const Activations& activations, const DeviceBatch& batch,
                 float temperature = 1.0f);

  // Both directions at once, where dL/dlogprob [T] is known before (weighted token losses): the
  // logits are formed only once. Writes activations.hidden_gradient.
  Result forward_backward(const Model& model, ParameterSet& gradients, Activations& activations,
                          const DeviceBatch& batch, std::span<const float> logprob_gradients);

  // The same for the clipped surrogate: dL/dlogprob is given for a ratio of 1 to the old policy's
  // log-probabilities [T] (ops/token_logprob.h).
  struct Surrogate {
    std::span<const float> gradients_at_ratio_one;
    std::span<const float> old_logprobs;
    float cliprange = 0.0f;
  };
  Result forward_backward(const Model& model, ParameterSet& gradients, Activations& activations,
                          const DeviceBatch& batch, const Surrogate& surrogate, float temperature);

  // After forward, where dL/dlogprob depends on what it found.
  void backward(const Model& model, ParameterSet& gradients, Activations& activations,
                const DeviceBatch& batch, std::span<const float> logprob_gradients,
                float temperature = 1.0f);

 private:
  void use(int64_t tokens);
  Result run_fused(TokenLogprobFused args, const Model& model, ParameterSet& gradients,
                   Activations& activations, const DeviceBatch& batch,
                   std::span<const float> logprob_gradients);
  Result download(Backend& backend) const;

  int64_t max_tokens_;
  Tensor all_logprobs_, all_entropies_, all_predictions_, all_gradients_, all_old_logprobs_;
  Tensor logprobs_, entropies_, predictions_, gradients_, old_logprobs_;
  Tensor workspace_;
};

class ScoreHead {
 public:
  explicit ScoreHead(int64_t max_tokens) : max_tokens_(round_up_tokens(max_tokens)) {}
  ScoreHead(const ScoreHead&) = delete;
  ScoreHead& operator=(const ScoreHead&) = delete;

  void reserve(Arena& arena, const Model& model);

  // Scores of the given rows of the stream: the last token of each sequence, or every token.
  std::vector<float> forward(const Model& model, const Activations& activations,
                             std::span<const int32_t> rows);

  // Writes activations.hidden_gradient.
  void backward(const Model& model, ParameterSet& gradients, Activations& activations,
                std::span<const int32_t> rows, std::span<const float> score_gradients);

 private:
  int64_t max_tokens_;
  Tensor scores_, rows_, gradients_;
  Tensor workspace_;
};

// The rows that heads read: of the last token of each sequence that came in (the tail is none), or
// of all tokens that have a target.
std::vector<int32_t> last_token_rows(const PackedBatch& batch);
std::vector<int32_t> target_rows(const PackedBatch& batch);

}  // namespace cria
