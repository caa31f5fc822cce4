#include "cria/model/parameters.h"

namespace cria {

namespace {

constexpr int64_t kGroupAlignment = 64;  // elements: 128 bytes of bf16, 256 of fp32

// Lays tensors out one after the other. Tensors of one group touch each other; groups start
// aligned.
class BlockBuilder {
 public:
  explicit BlockBuilder(std::string name) { block_.name = std::move(name); }

  void group(std::initializer_list<std::pair<std::string, Shape>> tensors) {
    block_.size = (block_.size + kGroupAlignment - 1) / kGroupAlignment * kGroupAlignment;
    for (const auto& [name, shape] : tensors) {
      block_.tensors.push_back({name, shape, block_.size});
      block_.size += shape.elements();
    }
  }

  // Everything before takes no weight decay.
  void decay_from_here() {
    group({});
    block_.decay_from = block_.size;
  }

  ParameterBlock finish() {
    group({});
    return std::move(block_);
  }

 private:
  ParameterBlock block_;
};

ParameterBlock embedding_block(const ModelConfig& c) {
  BlockBuilder builder("embedding");
  builder.group({{"model.embed_tokens.weight", {c.vocab_size, c.hidden_size}}});
  return builder.finish();
}

ParameterBlock layer_block(const ModelConfig& c, int index) {
  const std::string prefix = fmt::format("model.layers.{}.", index);
  const int64_t d = c.hidden_size;
  BlockBuilder builder(fmt::format("layer {}", index));
  builder.group({{prefix + "input_layernorm.weight", {d}}});
  builder.group({{prefix + "post_attention_layernorm.weight", {d}}});
  builder.decay_from_here();
  builder.group({{prefix + "self_attn.q_proj.weight", {c.query_size(), d}},
                 {prefix + "self_attn.k_proj.weight", {c.key_value_size(), d}},
                 {prefix + "self_attn.v_proj.weight", {c.key_value_size(), d}}});
  builder.group({{prefix + "self_attn.o_proj.weight", {d, c.query_size()}}});
  builder.group({{prefix + "mlp.gate_proj.weight", {c.intermediate_size, d}},
                 {prefix + "mlp.up_proj.weight", {c.intermediate_size, d}}});
  builder.group({{prefix + "mlp.down_proj.weight", {d, c.intermediate_size}}});
  return builder.finish();
}

ParameterBlock head_block(const ModelConfig& c) {
  BlockBuilder builder("head");
  builder.group({{"model.norm.weight", {c.hidden_size}}});
  builder.decay_from_here();
  if (c.head == HeadKind::score) {
    builder.group({{"score.weight", {1, c.hidden_size}}});
  } else if (!c.tie_word_embeddings) {
    builder.group({{"lm_head.weight", {c.vocab_size, c.hidden_size}}});
  }
  return builder.finish();
}

}  // namespace

ParameterLayout::ParameterLayout(const ModelConfig& config) : config_(config) {
  validate(config, "model");
  blocks_.push_back(embedding_block(config));
  for (int i = 0; i < config.num_hidden_layers; ++i) blocks_.push_back(layer_block(config, i));
  blocks_.push_back(head_block(config));
}

int64_t ParameterLayout::parameter_count() const {
  int64_t count = 0;
  for (const ParameterBlock& block : blocks_) {
    for (const ParameterTensor& tensor : block.tensors) count += tensor.shape.elements();
  }
  return count;
}

int64_t ParameterLayout::block_begin(size_t block) const {
  int64_t begin = 0;
  for (size_t i = 0; i < block; ++i) begin += blocks_[i].size;
  return begin;
}

int64_t ParameterLayout::total_size() const { return block_begin(blocks_.size()); }

ParameterSet::ParameterSet(const ParameterLayout& layout, DType dtype)
    : layout_(layout), dtype_(dtype), blocks_(layout.blocks().size()) {}

void ParameterSet::reserve(Arena& arena, const std::string& category) {
  for (size_t i = 0; i < blocks_.size(); ++i) {
    arena.reserve(blocks_[i], category, dtype_, Shape{layout_.blocks()[i].size});
  }
}

Tensor ParameterSet::view(size_t block, const ParameterTensor& tensor) const {
  return blocks_[block].flat(tensor.offset, tensor.shape.elements()).view(tensor.shape);
}

// Tensor `first_tensor` of a block together with the rows of those that follow it, row_count in
// all.
Tensor ParameterSet::rows(size_t block, size_t first_tensor, int64_t row_count) const {
  const ParameterTensor& first = layout_.blocks()[block].tensors[first_tensor];
  const int64_t columns = first.shape[-1];
  return blocks_[block].flat(first.offset, row_count * columns).view({row_count, columns});
}

Tensor ParameterSet::embedding() const { return view(0, layout_.blocks()[0].tensors[0]); }

LayerTensors ParameterSet::layer(int index) const {
  const ModelConfig& c = layout_.config();
  const size_t block = 1 + static_cast<size_t>(index);
  const std::vector<ParameterTensor>& tensors = layout_.blocks()[block].tensors;
  // The order of layer_block().
  return {.attention_norm = view(block, tensors[0]),
          .mlp_norm = view(block, tensors[1]),
          .qkv = rows(block, 2, c.qkv_size()),
          .attention_out = view(block, tensors[5]),
          .gate_up = rows(block, 6, 2 * c.intermediate_size),
          .down = view(block, tensors[8])};
}

Tensor ParameterSet::final_norm() const {
  return view(blocks_.size() - 1, layout_.blocks().back().tensors[0]);
}

Tensor ParameterSet::language_head() const {
  CRIA_ASSERT(layout_.config().head == HeadKind::language);
  if (layout_.config().tie_word_embeddings) return embedding();
  return view(blocks_.size() - 1, layout_.blocks().back().tensors[1]);
}

Tensor ParameterSet::score_head() const {
  CRIA_ASSERT(layout_.config().head == HeadKind::score);
  return view(blocks_.size() - 1, layout_.blocks().back().tensors[1]);
}

}  // namespace cria
