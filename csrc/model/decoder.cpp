#include "cria/model/decoder.h"

#include <algorithm>
#include <cmath>

namespace cria {

DecoderRows::DecoderRows(int64_t rows, int64_t sequences, int64_t max_blocks_of_a_sequence)
    : ids(static_cast<size_t>(rows), 0),
      row_sequences(ids),
      context_lengths(ids),
      block_tables(static_cast<size_t>(sequences * max_blocks_of_a_sequence), 0),
      max_blocks(max_blocks_of_a_sequence) {}

void DecoderRows::set(int64_t row, int32_t id, int64_t position, int64_t sequence) {
  const auto r = static_cast<size_t>(row);
  ids[r] = id;
  row_sequences[r] = static_cast<int32_t>(sequence);
  context_lengths[r] = static_cast<int32_t>(position) + 1;
}

void DecoderRows::set_blocks(int64_t sequence, std::span<const int32_t> blocks) {
  CRIA_ASSERT(static_cast<int64_t>(blocks.size()) <= max_blocks);
  std::copy(blocks.begin(), blocks.end(), block_tables.begin() + sequence * max_blocks);
}

Decoder::Decoder(DecoderUse use, const Model& model, const KvCache& cache, int64_t rows,
                 int64_t sequences, int64_t max_context)
    : use_(use),
      model_(model),
      cache_(cache),
      rows_(rows),
      sequences_(sequences),
      max_context_(max_context),
      max_blocks_(cache.blocks_for(max_context)) {}

void Decoder::reserve(Arena& arena) {
  recording_.reset();
  const ModelConfig& c = model_.config();
  const int64_t R = rows_;
  const auto plan = [&](Tensor& tensor, DType dtype, Shape shape) {
    arena.reserve(tensor, "activations", dtype, shape);
  };
  for (Tensor* tensor : {&ids_, &row_sequences_, &context_lengths_}) {
    plan(*tensor, DType::i32, {R});
  }
  plan(block_tables_, DType::i32, {sequences_, max_blocks_});
  for (Tensor* tensor : {&residual_, &branch_, &normed_}) {
    plan(*tensor, model_.dtype(), {R, c.hidden_size});
  }
  if (use_ == DecoderUse::decode) plan(hidden, model_.dtype(), {R, c.hidden_size});
  plan(inverse_rms_, DType::f32, {R});
  plan(qkv_, model_.dtype(), {R, c.qkv_size()});
  plan(attention_mix_, model_.dtype(), {R, c.query_size()});
  plan(gate_up_, model_.dtype(), {R, 2 * c.intermediate_size});
  plan(mlp_mid_, model_.dtype(), {R, c.intermediate_size});
  arena.reserve_workspace(workspace_, model_.backend().decode_attention_workspace_bytes(
                                          R, max_context_, c.num_attention_heads, c.head_dim));
}

void Decoder::product(Tensor output, Tensor input, Tensor weight) {
  model_.backend().linear_forward(
      {.output = output, .input = input, .weight = model_.linear(weight)});
}

// From normed, the norm of the residual stream, to queries, and to keys and values in the cache.
void Decoder::cache_forward(int index) {
  const ModelConfig& c = model_.config();
  product(qkv_, normed_, model_.weights.layer(index).qkv);
  model_.backend().kv_cache_write({.keys = cache_.keys(index),
                                   .values = cache_.values(index),
                                   .qkv = qkv_,
                                   .rope_table = model_.rope_table,
                                   .block_tables = block_tables_,
                                   .row_sequences = row_sequences_,
                                   .context_lengths = context_lengths_,
                                   .n_heads = c.num_attention_heads,
                                   .n_kv_heads = c.num_key_value_heads});
}

// From normed to branch, what is still to be added to the residual stream.
void Decoder::layer_forward(int index) {
  const ModelConfig& c = model_.config();
  const LayerTensors weights = model_.weights.layer(index);
  Backend& backend = model_.backend();
  cache_forward(index);
  backend.decode_attention({.output = attention_mix_,
                            .qkv = qkv_,
                            .keys = cache_.keys(index),
                            .values = cache_.values(index),
                            .block_tables = block_tables_,
                            .row_sequences = row_sequences_,
                            .context_lengths = context_lengths_,
                            .n_heads = c.num_attention_heads,
                            .n_kv_heads = c.num_key_value_heads,
                            .scale = 1.0f / std::sqrt(static_cast<float>(c.head_dim)),
                            .workspace = workspace_});
  product(branch_, attention_mix_, weights.attention_out);
  backend.rmsnorm_forward({.output = normed_,
                           .residual_output = residual_,
                           .inverse_rms = inverse_rms_,
                           .input = branch_,
                           .residual = residual_,
                           .weight = weights.mlp_norm,
                           .epsilon = c.rms_norm_eps});
  product(gate_up_, normed_, weights.gate_up);
  backend.swiglu_forward({.output = mlp_mid_, .gate_up = gate_up_});
  product(branch_, mlp_mid_, weights.down);
}

void Decoder::forward(const DecoderRows& rows) {
  Backend& backend = model_.backend();
  backend.copy_from_host(ids_, rows.ids.data());
  backend.copy_from_host(row_sequences_, rows.row_sequences.data());
  backend.copy_from_host(context_lengths_, rows.context_lengths.data());
  backend.copy_from_host(block_tables_, rows.block_tables.data());
  backend.run_recorded(recording_, [this] { layers_forward(); });
}

// From the ids to `hidden`. Launches nothing that depends on what the rows are.
void Decoder::layers_forward() {
  const ModelConfig& c = model_.config();
  Backend& backend = model_.backend();
  backend.embedding_forward(
      {.output = residual_, .table = model_.weights.embedding(), .ids = ids_});
  backend.rmsnorm_forward({.output = normed_,
                           .inverse_rms = inverse_rms_,
                           .input = residual_,
                           .weight = model_.weights.layer(0).attention_norm,
                           .epsilon = c.rms_norm_eps});
  for (int i = 0; i < c.num_hidden_layers; ++i) {
    const bool last = i + 1 == c.num_hidden_layers;
    const bool is_cached_only = last && use_ == DecoderUse::prefill;
    backend.begin_range("layer", i);
    if (is_cached_only) {
      cache_forward(i);
    } else {
      layer_forward(i);
    }
    backend.end_range();
    if (is_cached_only) return;
    backend.rmsnorm_forward(
        {.output = last ? hidden : normed_,
         .residual_output = residual_,
         .inverse_rms = inverse_rms_,
         .input = branch_,
         .residual = residual_,
         .weight = last ? model_.weights.final_norm() : model_.weights.layer(i + 1).attention_norm,
         .epsilon = c.rms_norm_eps});
  }
}

void Decoder::language_head(Tensor logits) const {
  model_.backend().linear_forward(
      {.output = logits, .input = hidden, .weight = model_.linear(model_.weights.language_head())});
}

}  // namespace cria
