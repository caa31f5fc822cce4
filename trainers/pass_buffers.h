// What a pass over a batch needs beside a model's weights: activations, the batch on the device,
// and the buffers of the heads. Models of one shape take turns on it (policy, reference, value
// model): nothing in it outlives a pass.
#pragma once

#include "cria/model/heads.h"

namespace cria {

class PassBuffers {
 public:
  PassBuffers(const ModelConfig& config, DType precision, const PassPlan& plan);

  // For passes of this model. Once for each model that takes turns; of a head that several have,
  // one set of buffers is planned.
  void reserve(Arena& arena, const Model& model);

  // Uploads a batch and runs the transformer over it; then a head may read activations.hidden, of
  // the rows `read` if there are any, otherwise of all.
  void forward(const Model& model, const PackedBatch& packed, std::span<const int32_t> read = {});

  int64_t max_tokens() const { return activations.plan().max_tokens; }

  Activations activations;
  DeviceBatch batch;
  LanguageHead language_head;
  ScoreHead score_head;

 private:
  bool has_activations_ = false;
  bool has_language_head_ = false;
  bool has_score_head_ = false;
};

}  // namespace cria
