// Multiple-choice questions, answered by the likeliest choice.
//   {"question" or "prompt": string, "choices": [string, …], "answer": index from 0}
#pragma once

#include <optional>
#include <string>

#include "cria/text/tokenizer.h"

#include "trainers/scorer.h"

namespace cria {

// Whether the first record of the file is such a question.
bool holds_multiple_choice(const std::string& path);

// Each choice scores the log-likelihood of its tokens as an answer, its eos included, as
// fine-tuning would count them.
struct MultipleChoiceResult {
  int64_t questions = 0;
  double accuracy = 0;             // the highest sum is right
  double normalized_accuracy = 0;  // the highest mean per token is right
  double chance = 0;               // mean of 1 / number of choices
};

struct ChoiceQuestion {
  std::vector<Example> choices;  // prompt and choice, labels on the choice
  size_t answer = 0;
};

std::vector<ChoiceQuestion> read_multiple_choice(const std::string& path,
                                                 const std::optional<std::string>& separator,
                                                 const Tokenizer& tokenizer, const Scorer& scorer);

MultipleChoiceResult answer(std::span<const ChoiceQuestion> questions, Scorer& scorer);

}  // namespace cria
