// Model directories as transformers reads and writes them: config.json, model.safetensors (or
// shards with model.safetensors.index.json), generation_config.json, and the tokenizer's files.
#pragma once

#include <string>
#include <vector>

#include "cria/model/config.h"
#include "cria/model/parameters.h"
#include "cria/ops/backend.h"

namespace cria {

// config.json of LlamaForCausalLM or of LlamaForSequenceClassification with one label, with
// rope_theta at the top level or in transformers 5's rope_parameters. Keys that ask for something
// cria does not do (rope scaling, biases, another activation, …) are input Errors that name the
// key; keys that are absent have LlamaConfig's defaults.
ModelConfig read_model_config(const std::string& directory);

// The paths of a directory's weights, by name: model.safetensors, or the shards of its index.
std::vector<std::string> weight_files(const std::string& directory);

enum class MissingHead {
  refuse,
  allow,  // a model gets another head: the directory's head is not read, the destination's is kept
};

// Reads every tensor of the destination's layout, converted to its dtype. Missing, surplus and
// wrongly shaped tensors are input Errors that list them. Tolerated: rotary_emb.inv_freq of old
// checkpoints, and lm_head.weight of a tied model when it equals the embedding.
// Returns whether the head was read: false only with MissingHead::allow.
bool read_weights(const std::string& directory, ParameterSet& destination, Backend& backend,
                  MissingHead missing_head = MissingHead::refuse);

inline constexpr size_t kMaxShardBytes = size_t{5} << 30;

// Writes config.json, generation_config.json and the weights as `storage` (f32 or bf16) into an
// existing directory; several shards and their index when the data exceeds max_shard_bytes.
// Deterministic bytes.
void write_model(const std::string& directory, const ModelConfig& config,
                 const ParameterSet& weights, Backend& backend, DType storage,
                 size_t max_shard_bytes = kMaxShardBytes);

// Writes tokenizer.model (`tokenizer_model` is the content of a SentencePiece model) and what
// AutoTokenizer needs beside it, Llama 2's chat template included.
void write_tokenizer(const std::string& directory, const std::string& tokenizer_model);

}  // namespace cria
