// A model directory that answers prompts: what `generate` and the evaluations sample with.
//
//   AnsweringModel model(directory, {.device = "auto", .precision = "fp32"});
//   … read_prompts(path, form, model.tokenizer(), model.checker(sampling))
//   model.load(model.context_needed(prompts, sampling.max_new_tokens), {.slots = 16});
//   model.answer(prompts, sampling, 4)
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "cria/generate/generator.h"

#include "trainers/pretrained_model.h"
#include "trainers/prompts.h"

namespace cria {

class AnsweringModel {
 public:
  AnsweringModel(const std::string& directory, const InferenceOptions& options);

  const Tokenizer& tokenizer() { return pretrained_.tokenizer(); }
  int64_t model_context() const { return pretrained_.config().max_position_embeddings; }

  // For read_prompts: an input Error when the model, once loaded in its cache, cannot answer the
  // prompt with these settings.
  std::function<void(const Prompt&)> checker(const SamplingSettings& settings) const;
  // Of the cache: no more than these prompts can fill, and no more than the model allows.
  int64_t context_needed(std::span<const Prompt> prompts, int64_t max_new_tokens) const;

  // Reads the weights; options.max_context tokens are kept of each answer and its prompt.
  void load(const GeneratorOptions& options);

  // The answers to each prompt one after the other, until all are complete or a signal comes; then
  // those that are not complete say so. The model's eos ends an answer. Standard error gets a bar
  // on a terminal, a line now and then elsewhere, and a summary at the end.
  std::vector<GenerationResult> answer(std::span<const Prompt> prompts, SamplingSettings settings,
                                       uint32_t samples);

  // The text of an answer; a chat's without white space around it.
  std::string completion_of(const Prompt& prompt, const GenerationResult& result);

 private:
  PretrainedModel pretrained_;
  std::unique_ptr<Generator> generator_;
};

}  // namespace cria
