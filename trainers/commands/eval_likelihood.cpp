// cria eval perplexity and multiple-choice: what a model holds texts to be likely. `cria eval` by
// itself does either, by what each file holds.
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>

#include "cria/io/atomic_directory.h"

#include "trainers/commands/eval_commands.h"
#include "trainers/commands/example_file_options.h"
#include "trainers/commands/inference_options.h"
#include "trainers/multiple_choice.h"

namespace cria {

namespace {

using nlohmann::ordered_json;

enum class Wanted { by_file, perplexity, multiple_choice };

struct LikelihoodOptions {
  Wanted wanted = Wanted::by_file;
  std::string model;
  InferenceOptions inference;
  std::vector<std::string> data;
  std::string output;
  int64_t batch_tokens = 0;
  ExampleFileOptions examples{.max_length = 0};  // 0: what the model allows
};

// One data file, read before the weights are.
struct Task {
  std::string path;
  bool is_multiple_choice = false;
  ExampleFile file;
  std::vector<ChoiceQuestion> questions;
};

Task read_task(const std::string& path, const LikelihoodOptions& options,
               const Tokenizer& tokenizer, const Scorer& scorer) {
  Task task{.path = path, .is_multiple_choice = holds_multiple_choice(path)};
  if (options.wanted == Wanted::perplexity && task.is_multiple_choice) {
    throw input_error(path, "holds questions with choices",
                      "cria eval multiple-choice answers them");
  }
  if (options.wanted == Wanted::multiple_choice) task.is_multiple_choice = true;
  if (task.is_multiple_choice) {
    task.questions = read_multiple_choice(path, options.examples.separator, tokenizer, scorer);
    return task;
  }
  task.file = read_example_file(path, options.examples, tokenizer);
  if (task.file.examples.empty()) throw input_error(path, "has no example with a token to predict");
  for (size_t i = 0; i < task.file.examples.size(); ++i) {
    scorer.check(task.file.examples[i], fmt::format("{}: example {}", path, i + 1));
  }
  return task;
}

// L = sum w (-log p) / sum w, as training counts it.
ordered_json measure_loss(const Task& task, Scorer& scorer) {
  const std::vector<Example>& examples = task.file.examples;
  const std::vector<std::vector<float>> logprobs = scorer.logprobs(examples);
  double loss = 0, weights = 0;
  int64_t tokens = 0;
  for (size_t i = 0; i < examples.size(); ++i) {
    for (size_t t = 1; t < examples[i].ids.size(); ++t) {
      const double weight = static_cast<double>(examples[i].weight(t));
      loss -= weight * static_cast<double>(logprobs[i][t - 1]);
      weights += weight;
      tokens += weight > 0;
    }
  }
  loss /= weights;
  fmt::print("{}\n  {} ({})\n  {} tokens predicted, loss {:.4f}, perplexity {:.3f}\n", task.path,
             task.file.summary, task.file.format, tokens, loss, std::exp(loss));
  return {{"data", task.path},
          {"format", task.file.format},
          {"examples", examples.size()},
          {"tokens", tokens},
          {"loss", loss},
          {"perplexity", std::exp(loss)}};
}

ordered_json measure_accuracy(const Task& task, Scorer& scorer) {
  const MultipleChoiceResult result = answer(task.questions, scorer);
  fmt::print("{}\n  {} questions: accuracy {:.1f}%, by length {:.1f}%, by chance {:.1f}%\n",
             task.path, result.questions, 100 * result.accuracy, 100 * result.normalized_accuracy,
             100 * result.chance);
  return {{"data", task.path},
          {"questions", result.questions},
          {"accuracy", result.accuracy},
          {"normalized_accuracy", result.normalized_accuracy},
          {"chance", result.chance}};
}

void run(LikelihoodOptions options) {
  PretrainedModel pretrained(options.model, options.inference);
  if (pretrained.config().head != HeadKind::language) {
    throw input_error(options.model, "a reward model predicts no tokens",
                      "give a model with a language head, or use cria score");
  }
  if (options.examples.max_length == 0) {
    options.examples.max_length = pretrained.config().max_position_embeddings;
  }
  Scorer scorer(pretrained.model(), options.batch_tokens);
  scorer.reserve(pretrained.arena());
  std::vector<Task> tasks;
  for (const std::string& path : options.data) {
    tasks.push_back(read_task(path, options, pretrained.tokenizer(), scorer));
  }
  pretrained.load();
  ordered_json results = ordered_json::array();
  for (const Task& task : tasks) {
    results.push_back(task.is_multiple_choice ? measure_accuracy(task, scorer)
                                              : measure_loss(task, scorer));
  }
  if (!options.output.empty()) write_file_atomically(options.output, results.dump(2) + "\n");
}

void add_likelihood_options(CLI::App& command, LikelihoodOptions& options) {
  add_inference_options(command, options.model, options.inference);
  command.add_option("--data", options.data, "data file; may be repeated")
      ->required()
      ->allow_extra_args(false);
  command.add_option("--output", options.output, "JSON file for the figures");
  command.add_option("--batch-tokens", options.batch_tokens,
                     "tokens of a pass; 0: what the model's longest sequence needs, at least 2048");
  if (options.wanted == Wanted::multiple_choice) {
    command.add_option("--separator", options.examples.separator,
                       "between question and choice, instead of the chat format");
    return;
  }
  command.add_option("--max-length", options.examples.max_length,
                     "longest example, or length of a row of documents; 0: what the model allows");
  add_example_file_options(command, options.examples);
}

void add_command(CLI::App& eval, const char* name, const char* description, Wanted wanted) {
  CLI::App* command = eval.add_subcommand(name, description);
  auto options = std::make_shared<LikelihoodOptions>();
  options->wanted = wanted;
  add_likelihood_options(*command, *options);
  command->callback([options] { run(*options); });
}

}  // namespace

void add_eval_likelihood_commands(CLI::App& eval) {
  add_command(eval, "perplexity", "loss and perplexity of data files", Wanted::perplexity);
  add_command(eval, "multiple-choice", "accuracy on questions with choices",
              Wanted::multiple_choice);
  auto options = std::make_shared<LikelihoodOptions>();
  add_likelihood_options(eval, *options);
  for (const char* name : {"--model", "--data"}) eval.get_option(name)->required(false);
  eval.callback([options, &eval] {
    if (!eval.get_subcommands().empty()) return;
    if (options->model.empty()) throw CLI::RequiredError("--model");
    if (options->data.empty()) throw CLI::RequiredError("--data");
    run(*options);
  });
}

}  // namespace cria
