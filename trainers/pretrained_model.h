// A model directory loaded for inference: what `score`, `eval`, `generate` and `chat` share.
//
//   PretrainedModel pretrained(directory, {.device = "auto", .precision = "fp32"});
//   activations.reserve(pretrained.arena(), pretrained.backend());   // whatever the command needs
//   pretrained.load();                                               // allocates, then reads the
//   weights
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "cria/model/model.h"
#include "cria/text/tokenizer.h"

namespace cria {

struct InferenceOptions {
  std::string device = "auto";
  std::string precision = "fp32";  // or bf16
};

class PretrainedModel {
 public:
  PretrainedModel(const std::string& directory, const InferenceOptions& options);

  // Allocates all that was reserved in arena() and reads the weights.
  void load();

  const ModelConfig& config() const { return layout_.config(); }
  Backend& backend() { return *backend_; }
  Arena& arena() { return arena_; }
  const Model& model() const { return model_; }
  // Read when first asked for: scoring token ids needs none.
  const Tokenizer& tokenizer();

 private:
  std::string directory_;
  std::unique_ptr<Backend> backend_;
  ParameterLayout layout_;
  Arena arena_;
  Model model_;
  std::optional<Tokenizer> tokenizer_;
};

DType dtype_of_precision(const std::string& precision);  // fp32 or bf16

// Ids mean the same to the model in `directory` as to `tokenizer`, or it is an input Error that
// names `key`: its tokenizer.model is that one, or where it has none the vocabularies are as large.
void require_tokenizer(const std::string& directory, const ModelConfig& config,
                       const Tokenizer& tokenizer, const std::string& key);

}  // namespace cria
