// The Llama transformer over a packed batch: one forward, and one backward that mirrors it. Both
// are plain sequences of ops; weights, gradients and activations come from outside, so that several
// models can share one set of activations.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "cria/model/device_batch.h"
#include "cria/model/model.h"

namespace cria {

enum class Recompute {
  none,   // keep of every layer what its backward needs (norm and SwiGLU outputs are cheap: made
          // again)
  block,  // keep each layer's input only and run its forward again in backward
};

// What a pass is planned for.
struct PassPlan {
  int64_t max_tokens = 0;  // of one micro-batch, rounded up to a multiple of 128
  bool training = true;    // false: no backward; all layers share one set of buffers
  Recompute recompute = Recompute::none;
};

// What a layer's attention leaves, while it is there.
struct LayerAttention {
  Tensor qkv;          // [T, (H + 2 H_kv) D] after RoPE
  Tensor log_sum_exp;  // [H, T] fp32
  float scale;         // of the scores: 1 / sqrt(D)
};
using LayerVisitor = std::function<void(const LayerAttention&)>;

// Told the index of a parameter block (ParameterLayout) when a pass adds nothing more to its
// gradients.
using BlockVisitor = std::function<void(size_t block)>;

// Buffers of one pass. Forward fills them, backward reads them; nothing of them outlives a
// micro-batch.
class Activations {
 public:
  Activations(const ModelConfig& config, DType dtype, const PassPlan& plan);
  Activations(const Activations&) = delete;
  Activations& operator=(const Activations&) = delete;

  void reserve(Arena& arena, Backend& backend);

  const PassPlan& plan() const { return plan_; }
  DType dtype() const { return dtype_; }

  // Of the T tokens of the batch that was passed last:
  Tensor hidden;           // [T, d] after the final norm: what a head reads (DeviceBatch::upload)
  Tensor hidden_gradient;  // [T, d] what a head writes, and transformer_backward reads

  // First tensor of the last forward pass with an element that is not finite, in the order of the
  // computation; empty when there is none. For the report when a loss turns out NaN.
  std::string first_non_finite(Backend& backend) const;

 private:
  friend void transformer_forward(const Model&, Activations&, const DeviceBatch&,
                                  const LayerVisitor&);
  friend void transformer_backward(const Model&, ParameterSet&, Activations&, const DeviceBatch&,
                                   const BlockVisitor&);
  friend class BlockPass;

  // All buffers hold max_tokens rows; use() narrows the views to T, and those of what comes after
  // the last attention to the K rows that the batch keeps.
  struct Layer {
    Tensor input;          // [T, d] residual stream that enters the block
    Tensor input_rms;      // [T] fp32
    Tensor qkv;            // [T, (H + 2 H_kv) D] after RoPE
    Tensor attention_mix;  // [T, H D]
    Tensor log_sum_exp;    // [H, T] fp32
    Tensor middle;         // [T, d] residual stream between attention and MLP
    Tensor middle_rms;     // [T] fp32
    Tensor gate_up;        // [T, 2 f]
  };
  struct Shared {
    Tensor normed;           // [T, d] output of the norm at hand
    Tensor branch;           // [T, d] what attention or MLP adds to the residual stream
    Tensor mlp_mid;          // [T, f] output of SwiGLU, and its gradient
    Tensor final_input;      // [T, d] residual stream after the last block
    Tensor final_rms;        // [T] fp32
    Tensor hidden;           // [T, d]
    Tensor gradient;         // [T, d] of the residual stream
    Tensor normed_gradient;  // [T, d]
    Tensor mix_gradient;     // [T, H D]
    Tensor qkv_gradient;     // [T, (H + 2 H_kv) D]
  };
  void use(const DeviceBatch& batch);

  // What the ops of a block are called with, but for what the tensors hold.
  struct BlockShape {
    const void* weights;
    const void* gradients;  // null: forward
    const void* batch;
    int64_t tokens;
    int64_t sequences;
    int max_sequence_length;
    int64_t kept_tokens;

    auto operator<=>(const BlockShape&) const = default;
  };
  static constexpr size_t kMaxRecordings = 4096;  // shapes that come up later are not recorded

  const ModelConfig config_;
  const DType dtype_;
  const PassPlan plan_;
  std::vector<Layer> planned_layers_, layers_;
  Shared planned_, shared_;
  Shared kept_;      // shared_ for what comes after the last attention: K rows
  Tensor kept_mix_;  // [K + 1, H D] the last attention's output, where K < T
  Tensor workspace_;
  Tensor probe_;  // [1] fp32, for first_non_finite
  std::map<BlockShape, std::unique_ptr<Recording>> recordings_;
};

// hidden states of every token of the batch, in activations.hidden. `visit` sees every layer.
void transformer_forward(const Model& model, Activations& activations, const DeviceBatch& batch,
                         const LayerVisitor& visit = {});

// From activations.hidden_gradient to the gradients of every parameter below the head, accumulated
// into `gradients`. Once after each forward: it overwrites some of what forward kept. `is_complete`
// is told of every block once, from the head over the layers to the embedding, which gathers its
// gradients last even where the head shares it.
void transformer_backward(const Model& model, ParameterSet& gradients, Activations& activations,
                          const DeviceBatch& batch, const BlockVisitor& is_complete = {});

}  // namespace cria
