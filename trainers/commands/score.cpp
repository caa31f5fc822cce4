// cria score: log-probabilities of every token, or rewards, of the examples of a file.
#include <memory>

#include "cria/data/preference_builder.h"
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

// One sequence for each line; for each preference two, the chosen one first.
std::vector<Example> read_sequences(const ScoreOptions& options, bool preferences,
                                    PretrainedModel& model, const Scorer& scorer) {
  std::vector<Example> sequences;
  const auto add = [&](const Record& record) {
    sequences.push_back(sequence_of(record, {.separator = options.separator}, model));
    scorer.check(sequences.back(), record.where);
  };
  if (preferences) {
    PreferenceReader reader(options.data);
    for (PreferenceRecord record; reader.next(record);) {
      add({record.chosen, record.where});
      add({record.rejected, record.where});
    }
  } else {
    RecordReader reader(options.data);
    for (Record record; reader.next(record);) add(record);
  }
  return sequences;
}

// {"NAME": value} for each value, or {"chosen_NAME": value, "rejected_NAME": value} for each two.
std::string json_lines(const std::vector<std::string>& values, const char* name, bool preferences) {
  std::string lines;
  for (size_t i = 0; i < values.size(); ++i) {
    if (!preferences) {
      lines += fmt::format("{{\"{}\": {}}}\n", name, values[i]);
    } else if (i % 2 == 1) {
      lines += fmt::format("{{\"chosen_{0}\": {1}, \"rejected_{0}\": {2}}}\n", name, values[i - 1],
                           values[i]);
    }
  }
  return lines;
}

void run(const ScoreOptions& options) {
  PretrainedModel pretrained(options.model, options.inference);
  Scorer scorer(pretrained.model(), options.batch_tokens);
  scorer.reserve(pretrained.arena());

  const bool preferences = holds_preferences(options.data);
  const std::vector<Example> sequences = read_sequences(options, preferences, pretrained, scorer);
  pretrained.load();

  std::vector<std::string> values;
  const bool rewards = pretrained.config().head == HeadKind::score;
  if (rewards) {
    for (const float reward : scorer.rewards(sequences)) values.push_back(fmt::to_string(reward));
  } else {
    for (const std::vector<float>& logprobs : scorer.logprobs(sequences)) {
      values.push_back(json_list(logprobs));
    }
  }
  write_file_atomically(options.output,
                        json_lines(values, rewards ? "reward" : "logprobs", preferences));
}

}  // namespace

void add_score_command(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("score", "log-probabilities of tokens 2 to T, or rewards, line by line");
  auto options = std::make_shared<ScoreOptions>();
  add_inference_options(*command, options->model, options->inference);
  command
      ->add_option("--data", options->data,
                   "text, dialogues, prompts with completions, preferences or ids")
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
