// The Llama transformer over a packed batch: one forward, one backward that mirrors it. Both are
// plain sequences of ops; weights, gradients and activations come from outside, so that several
// models can share one set of activations.
#pragma once

#include <vector>

#include "cria/model/device_batch.h"
#include "cria/model/parameters.h"
#include "cria/ops/backend.h"

namespace cria {

enum class Recompute {
  none,   // keep what backward needs of every layer
  block,  // keep each layer's input only and run its forward again in backward
};

// What a pass is planned for.
struct PassPlan {
  int64_t max_tokens = 0;  // of one micro-batch, rounded up to a multiple of 128
  bool training = true;    // false: no backward; layers share one set of buffers
  Recompute recompute = Recompute::none;
};

// A model ready to compute: fp32 or bf16 weights in flat blocks, packed copies of the matrices
// where the backend wants them, and the table of rotary angles.
class Model {
 public:
  Model(const ParameterLayout& layout, DType dtype, Backend& backend);

  // `training` also plans the packed copies that only backward products read.
  void reserve(Arena& arena, bool training);
  void prepare();          // after the arena's allocation: fills the rotary table
  void weights_changed();  // after loading and after each update: refreshes the packed copies

  const ModelConfig& config() const { return weights.layout().config(); }
  Backend& backend() const { return backend_; }
  LinearWeight linear(Tensor values) const;  // with its packed copies

  ParameterSet weights;
  Tensor rope_table;  // [max_position_embeddings, D] fp32

 private:
  struct Packed {
    size_t block;
    int64_t offset;  // of the values within the block
    Tensor forward, backward;
  };
  std::vector<Tensor> matrices() const;

  Backend& backend_;
  std::vector<Packed> packed_;
};

// Buffers of one pass. Forward fills them, backward reads them.
class Activations {
 public:
  Activations(const ModelConfig& config, DType dtype, const PassPlan& plan);
  Activations(const Activations&) = delete;
  Activations& operator=(const Activations&) = delete;

  void reserve(Arena& arena, Backend& backend);

  struct Layer {
    Tensor input;          // [T, d] residual stream before the block (h of the attention norm)
    Tensor attention_rms;  // [T]
    Tensor attention_in;   // [T, d] after the norm
    Tensor qkv;            // [T, (H + 2 H_kv) D] after RoPE
    Tensor attention_mix;  // [T, H D]
    Tensor log_sum_exp;    // [H, T]
    Tensor middle;         // [T, d] residual stream between attention and MLP
    Tensor mlp_rms;        // [T]
    Tensor mlp_in;         // [T, d]
    Tensor gate_up;        // [T, 2 f]
    Tensor mlp_mid;        // [T, f]
  };

  const PassPlan plan;
  std::vector<Layer> layers;
  Tensor branch;     // [T, d] what attention or MLP adds to the residual stream
  Tensor final_in;   // [T, d] residual stream after the last block
  Tensor final_rms;  // [T]
  Tensor hidden;     // [T, d] after the final norm: what heads read
};

// hidden = activations.hidden. With a training plan, backward may follow.
void transformer_forward(const Model& model, Activations& activations, const DeviceBatch& batch);

// From the gradient of activations.hidden (in activations.hidden_gradient, written by a head) to
// the gradients of every parameter below the heads, accumulated into `gradients`.
void transformer_backward(const Model& model, ParameterSet& gradients, Activations& activations,
                          const DeviceBatch& batch);

}  // namespace cria
