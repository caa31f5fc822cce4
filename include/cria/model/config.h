// Shape of a Llama model: what config.json of a Hugging Face directory says (io/hugging_face.h
// reads and writes it) under the same names.
#pragma once

#include <cstdint>

namespace cria {

enum class HeadKind {
  language,  // LlamaForCausalLM: lm_head [V, d], or the embedding table when tied
  score,     // LlamaForSequenceClassification with one label: score.weight [1, d]
};

struct ModelConfig {
  int64_t vocab_size = 0;
  int64_t hidden_size = 0;        // d
  int64_t intermediate_size = 0;  // f
  int num_hidden_layers = 0;      // L
  int num_attention_heads = 0;    // H
  int num_key_value_heads = 0;    // divides H: H is multi-head, 1 is multi-query attention
  int head_dim = 0;               // D, even; hidden_size / num_attention_heads unless given
  int64_t max_position_embeddings = 4096;
  float rms_norm_eps = 1e-5f;
  double rope_theta = 10000.0;
  bool tie_word_embeddings = false;
  float initializer_range = 0.02f;
  int bos_token_id = 1;
  int eos_token_id = 2;
  int pad_token_id = -1;  // -1: none
  HeadKind head = HeadKind::language;

  int64_t query_size() const { return int64_t{num_attention_heads} * head_dim; }
  int64_t key_value_size() const { return int64_t{num_key_value_heads} * head_dim; }
  int64_t qkv_size() const { return query_size() + 2 * key_value_size(); }

  bool operator==(const ModelConfig&) const = default;
};

// Throws an input Error naming the key when the shape is impossible (a size below 1, heads that do
// not divide, an odd head_dim). `where` is the file that the config came from.
void validate(const ModelConfig& config, const char* where);

}  // namespace cria
