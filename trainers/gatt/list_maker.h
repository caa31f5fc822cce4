// Asks the model for lists: of hobbies, languages, public figures.
#pragma once

#include <string>
#include <vector>

#include "trainers/answer_engine.h"
#include "trainers/gatt/instructions.h"

namespace cria {

class ListMaker {
 public:
  ListMaker(const GattConfig& config, AnswerEngine& engine, const Tokenizer& tokenizer)
      : config_(config), engine_(engine), tokenizer_(tokenizer) {}

  // Whether any kind's values are not given but asked for.
  static bool asks_the_model(const GattConfig& config);

  // Those that are given, else what the answers to its prompts list. The engine is loaded where it
  // is asked. Of no use after a signal.
  std::vector<std::string> values_of(const ListedKind& kind);

 private:
  std::vector<std::vector<std::string>> ask(const std::vector<std::string>& prompts);

  const GattConfig& config_;
  AnswerEngine& engine_;
  const Tokenizer& tokenizer_;
  uint32_t asked_ = 0;  // prompts so far
};

}  // namespace cria
