#include "trainers/multiple_choice.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cria/data/example_builder.h"

namespace cria {

namespace {

using nlohmann::json;

struct Choices {
  std::string prompt;
  std::vector<std::string> texts;
  size_t answer = 0;
};

Choices parse_question(const json& line, const std::string& where) {
  const auto fail = [&](const std::string& problem) { throw input_error(where, problem); };
  Choices result;
  const char* field = line.contains("question") ? "question" : "prompt";
  if (!line.contains(field)) fail("field 'question' is missing");
  if (!line[field].is_string()) fail(fmt::format("field '{}' must be a string", field));
  result.prompt = line[field];
  if (!line.contains("choices")) fail("field 'choices' is missing");
  if (!line["choices"].is_array() || line["choices"].size() < 2) {
    fail("field 'choices' must be a list of two strings or more");
  }
  for (const json& choice : line["choices"]) {
    if (!choice.is_string()) fail("field 'choices' must be a list of two strings or more");
    result.texts.push_back(choice);
  }
  if (!line.contains("answer")) fail("field 'answer' is missing");
  const json& answer = line["answer"];
  const bool fits = answer.is_number_unsigned() && answer.get<uint64_t>() < result.texts.size();
  if (!fits) fail(fmt::format("field 'answer' must be 0 to {}", result.texts.size() - 1));
  result.answer = answer.get<size_t>();
  return result;
}

double sum_of(const std::vector<float>& logprobs) {
  double sum = 0;
  for (const float logprob : logprobs) sum += static_cast<double>(logprob);
  return sum;
}

double labelled_tokens(const Example& example) {
  return static_cast<double>(std::count_if(example.labels.begin() + 1, example.labels.end(),
                                           [](int32_t label) { return label != kNoLabel; }));
}

size_t highest(const std::vector<double>& values) {
  return static_cast<size_t>(std::max_element(values.begin(), values.end()) - values.begin());
}

}  // namespace

bool holds_multiple_choice(const std::string& path) {
  if (file_form(path) != FileForm::json_lines) return false;
  JsonLines lines(path);
  json line;
  return lines.next(line) && line.is_object() && line.contains("choices");
}

std::vector<ChoiceQuestion> read_multiple_choice(const std::string& path,
                                                 const std::optional<std::string>& separator,
                                                 const Tokenizer& tokenizer, const Scorer& scorer) {
  std::vector<ChoiceQuestion> questions;
  JsonLines lines(path);
  for (json line; lines.next(line);) {
    const std::string where = lines.where();
    if (!line.is_object()) throw input_error(where, "the line is no JSON object");
    const Choices parsed = parse_question(line, where);
    ChoiceQuestion question{.choices = {}, .answer = parsed.answer};
    for (const std::string& text : parsed.texts) {
      const Record record{.content = Completion{parsed.prompt, text}, .where = where};
      question.choices.push_back(fine_tuning_example(record, {.separator = separator}, tokenizer));
      scorer.check(question.choices.back(), where);
    }
    questions.push_back(std::move(question));
  }
  return questions;
}

MultipleChoiceResult answer(std::span<const ChoiceQuestion> questions, Scorer& scorer) {
  std::vector<Example> sequences;
  for (const ChoiceQuestion& question : questions) {
    sequences.insert(sequences.end(), question.choices.begin(), question.choices.end());
  }
  const std::vector<std::vector<float>> logprobs = scorer.logprobs(sequences);

  MultipleChoiceResult result{.questions = static_cast<int64_t>(questions.size())};
  size_t next = 0;
  for (const ChoiceQuestion& question : questions) {
    std::vector<double> sums, means;
    for (const Example& choice : question.choices) {
      sums.push_back(sum_of(logprobs[next++]));
      means.push_back(sums.back() / labelled_tokens(choice));
    }
    result.accuracy += highest(sums) == question.answer;
    result.normalized_accuracy += highest(means) == question.answer;
    result.chance += 1.0 / static_cast<double>(sums.size());
  }
  const double count = std::max<double>(1.0, static_cast<double>(questions.size()));
  result.accuracy /= count;
  result.normalized_accuracy /= count;
  result.chance /= count;
  return result;
}

}  // namespace cria
