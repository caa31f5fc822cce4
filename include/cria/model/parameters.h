// Parameters live in flat blocks: one buffer each for the embedding, for every transformer block
// and for the head. Named tensors are views into them. Gradients, optimizer moments and the bf16
// compute copy are further sets of buffers with the same layout, so that an update, a norm or an
// all-reduce is a loop over few large buffers.
//
// Within a block the tensors that take no weight decay (norms) come first. The rows of q, k and v
// follow each other, as do those of gate and up, so that one product serves all of them.
#pragma once

#include <string>
#include <vector>

#include "cria/core/buffer.h"
#include "cria/model/config.h"

namespace cria {

struct ParameterTensor {
  std::string name;  // as in Hugging Face: model.layers.0.self_attn.q_proj.weight
  Shape shape;
  int64_t offset = 0;  // elements from the start of its block
};

struct ParameterBlock {
  std::string name;  // embedding, layer 0, …, head
  std::vector<ParameterTensor> tensors;
  int64_t size = 0;        // elements, a multiple of 64; gaps between tensors stay zero
  int64_t decay_from = 0;  // weight decay applies to elements [decay_from, size)
};

// Where everything is. Block 0 is the embedding, block 1 + i layer i, the last block the head.
class ParameterLayout {
 public:
  explicit ParameterLayout(const ModelConfig& config);

  const ModelConfig& config() const { return config_; }
  const std::vector<ParameterBlock>& blocks() const { return blocks_; }
  int64_t parameter_count() const;          // without the gaps
  int64_t total_size() const;               // with them
  int64_t block_begin(size_t block) const;  // elements of all blocks before it

 private:
  ModelConfig config_;
  std::vector<ParameterBlock> blocks_;
};

// Weights of one transformer block, as views.
struct LayerTensors {
  Tensor attention_norm;  // [d]            input_layernorm
  Tensor mlp_norm;        // [d]            post_attention_layernorm
  Tensor qkv;             // [(H + 2 H_kv) D, d]
  Tensor attention_out;   // [d, H D]       o_proj
  Tensor gate_up;         // [2 f, d]
  Tensor down;            // [d, f]
};

// One set of buffers in a layout: weights, gradients or a moment. The layout must outlive it.
class ParameterSet {
 public:
  ParameterSet(const ParameterLayout& layout, DType dtype);
  ParameterSet(const ParameterSet&) = delete;
  ParameterSet& operator=(const ParameterSet&) = delete;

  void reserve(Arena& arena, const std::string& category);

  const ParameterLayout& layout() const { return layout_; }
  DType dtype() const { return dtype_; }
  Tensor block(size_t index) const { return blocks_[index]; }
  size_t block_count() const { return blocks_.size(); }

  Tensor embedding() const;  // [V, d]
  LayerTensors layer(int index) const;
  Tensor final_norm() const;     // [d]
  Tensor language_head() const;  // [V, d]: lm_head, or the embedding when tied
  Tensor score_head() const;     // [1, d]

  // The view of one named tensor: loading, saving, tests.
  Tensor view(size_t block, const ParameterTensor& tensor) const;

 private:
  Tensor rows(size_t block, size_t first_tensor, int64_t row_count) const;

  const ParameterLayout& layout_;
  DType dtype_;
  std::vector<Tensor> blocks_;
};

}  // namespace cria
