// cria score: log-probabilities of every token, or rewards, of the examples of a file.
#include <memory>

#include "cria/data/example_builder.h"
#include "cria/io/atomic_directory.h"

#include "trainers/commands/commands.h"
#include "trainers/commands/inference_options.h"
#include "trainers/scorer.h"

namespace cria {

namespace {

struct ScoreOptions {
  std::string model;
  InferenceOptions inference;
  std::string data;
  std::string output;
  int64_t batch_tokens = 0;
  std::optional<std::string> separator;
};

// The tokens as fine-tuning would see them, each of them to be predicted.
Example sequence_of(const Record& record, const ExampleOptions& options, PretrainedModel& model) {
  Example example;
  if (const auto* tokens = std::get_if<Tokens>(&record.content)) {
    example.ids = tokens->ids;
  } else {
    example.ids = fine_tuning_example(record, options, model.tokenizer()).ids;
  }
  example.labels = example.ids;
  return example;
}

void run(const ScoreOptions& options) {
  PretrainedModel pretrained(options.model, options.inference);
  Scorer scorer(pretrained.model(), options.batch_tokens);
  scorer.reserve(pretrained.arena());

  std::vector<Example> sequences;
  RecordReader reader(options.data);
  for (Record record; reader.next(record);) {
    sequences.push_back(sequence_of(record, {.separator = options.separator}, pretrained));
    scorer.check(sequences.back(), record.where);
  }
  pretrained.load();

  std::string lines;
  if (pretrained.config().head == HeadKind::score) {
    for (const float reward : scorer.rewards(sequences)) {
      lines += fmt::format("{{\"reward\": {}}}\n", reward);
    }
  } else {
    for (const std::vector<float>& logprobs : scorer.logprobs(sequences)) {
      lines += fmt::format("{{\"logprobs\": {}}}\n", json_list(logprobs));
    }
  }
  write_file_atomically(options.output, lines);
}

}  // namespace

void add_score_command(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("score", "log-probabilities of tokens 2 to T, or rewards, line by line");
  auto options = std::make_shared<ScoreOptions>();
  add_inference_options(*command, options->model, options->inference);
  command->add_option("--data", options->data, "text, dialogues, prompts with completions or ids")
      ->required();
  command->add_option("--output", options->output, "JSON Lines, one for each record")->required();
  command->add_option(
      "--batch-tokens", options->batch_tokens,
      "tokens of a pass; 0: what the model's longest sequence needs, at least 2048");
  command->add_option("--separator", options->separator,
                      "between prompt and completion, instead of the chat format");
  command->callback([options] { run(*options); });
}

}  // namespace cria
