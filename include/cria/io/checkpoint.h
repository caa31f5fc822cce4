// Training checkpoints: output_dir/checkpoint-N/, N the step after which it was taken. Each is a
// Hugging Face directory with the master weights and the tokenizer, plus
//   optimizer.safetensors  first_moment.NAME and second_moment.NAME for every parameter tensor
//   trainer_state.json     what the trainer wants back: step, data cursor, …
// A trainer with several models (PPO) keeps the others in folders of the checkpoint. A checkpoint
// is whole or it is not there (io/atomic_directory.h).
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "cria/model/parameters.h"
#include "cria/ops/backend.h"

namespace cria {

// A model in training. The moments have dtype f32 or bf16.
struct CheckpointModel {
  std::string folder;  // within the checkpoint; empty: the checkpoint itself
  ParameterSet* weights = nullptr;
  ParameterSet* first_moment = nullptr;
  ParameterSet* second_moment = nullptr;
};

struct CheckpointContents {
  std::vector<CheckpointModel> models;
  std::string tokenizer_model;  // content of the SentencePiece model
  nlohmann::json trainer_state;
};

// Writes checkpoint-`step`, then deletes all but the newest `keep` (0 keeps all). When it fails,
// earlier checkpoints are as they were.
void save_checkpoint(const std::string& output_dir, int64_t step, int keep,
                     const CheckpointContents& contents, Backend& backend);

// Path of the checkpoint with the highest step that has all its files; none when there is none.
std::optional<std::string> latest_checkpoint(const std::string& output_dir);

// What save_checkpoint() was given as trainer_state: read it first when the models depend on it.
nlohmann::json read_trainer_state(const std::string& checkpoint);

// Fills weights and moments bit for bit. An input Error says what differs when the checkpoint was
// taken of another model or with another dtype.
void load_checkpoint(const std::string& checkpoint, const std::vector<CheckpointModel>& models,
                     Backend& backend);

}  // namespace cria
