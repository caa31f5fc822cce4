// A model ready to compute: fp32 or bf16 weights in flat blocks, packed copies of the matrices
// where the backend wants them, and the table of rotary angles.
#pragma once

#include <vector>

#include "cria/model/parameters.h"
#include "cria/ops/backend.h"

namespace cria {

class Model {
 public:
  Model(const ParameterLayout& layout, DType dtype, Backend& backend);
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  // `training`: products have many rows, and backward ones read packed copies of their own, if any.
  void reserve(Arena& arena, bool training);
  void prepare();          // once after the arena's allocation: fills the rotary table
  void weights_changed();  // after loading and after each update: refreshes the packed copies

  const ModelConfig& config() const { return weights.layout().config(); }
  DType dtype() const { return weights.dtype(); }
  Backend& backend() const { return backend_; }
  LinearWeight linear(Tensor values) const;  // one of the matrices below with its packed copies

  ParameterSet weights;
  Tensor rope_table;  // [max_position_embeddings, D] fp32

 private:
  struct PackedCopy {
    Tensor forward;
    Tensor backward;
  };
  // Every matrix that a product reads: four a layer and the language head.
  std::vector<Tensor> matrices() const;

  Backend& backend_;
  std::vector<PackedCopy> packed_;  // in the order of matrices()
};

// Random initialisation as transformers does it: matrices from N(0, initializer_range), norms 1, a
// score head from N(0, 1/(d+1)) in standard deviation 1/sqrt(d+1). Each element depends on the
// seed, its tensor and its index alone. `weights` is fp32 on any device.
void initialize_weights(ParameterSet& weights, Backend& backend, uint64_t seed);

}  // namespace cria
