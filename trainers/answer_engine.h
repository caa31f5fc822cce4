// A model that answers prompts in a generation engine, in memory that others share.
#pragma once

#include <string>

#include "cria/generate/generator.h"

namespace cria {

class AnswerEngine {
 public:
  // Reads the config of the Hugging Face directory. An input Error when it has no language head.
  AnswerEngine(std::string directory, const std::string& precision, const GeneratorOptions& options,
               Backend& backend);

  void reserve(Arena& arena);
  void load();  // after the arena's allocation

  const ModelConfig& config() const { return layout_.config(); }
  Generator& generator() { return generator_; }

 private:
  const std::string directory_;
  ParameterLayout layout_;
  Model model_;
  Generator generator_;
};

}  // namespace cria
