// cria eval preferences: how well a reward model tells better answers from worse ones, and how well
// it knows how sure it may be.
#include <memory>

#include "cria/report/plot.h"

#include "trainers/commands/eval_commands.h"
#include "trainers/commands/evaluation_options.h"
#include "trainers/commands/example_file_options.h"
#include "trainers/commands/inference_options.h"
#include "trainers/preference_evaluation.h"
#include "trainers/scorer.h"

namespace cria {

namespace {

struct PreferencesOptions {
  std::string model;
  InferenceOptions inference;
  std::vector<std::string> data;
  int64_t batch_tokens = 0;
  ExampleFileOptions examples{.max_length = 0};  // 0: what the model allows
  std::string output;
  std::string plot;
};

std::vector<PreferencePair> read_pairs(const PreferencesOptions& options,
                                       const Tokenizer& tokenizer, const Scorer& scorer) {
  std::vector<PreferencePair> pairs;
  for (const std::string& path : options.data) {
    PreferenceFile file = read_preference_file(path, options.examples, tokenizer);
    fmt::print("{}: {}\n", path, file.summary);
    for (PreferencePair& pair : file.pairs) {
      if (pair.source.empty()) pair.source = path;
      const std::string where = fmt::format("{}: pair {}", path, pairs.size() + 1);
      scorer.check(pair.chosen, where);
      scorer.check(pair.rejected, where);
      pairs.push_back(std::move(pair));
    }
  }
  if (pairs.empty()) throw input_error(options.data.front(), "has no pair to judge");
  return pairs;
}

// Accuracy against confidence: on the diagonal a model is as right as it is sure.
Plot calibration_plot(const PreferenceEvaluation& evaluation) {
  Plot plot{.title = "Calibration of the reward model",
            .x_title = "confidence in the better-valued answer",
            .y_title = "share of pairs where it is right"};
  plot.series.push_back({.label = "this model", .points = {}});
  for (const CalibrationBin& bin : evaluation.bins) {
    if (bin.pairs > 0) plot.series.back().points.emplace_back(bin.confidence, bin.accuracy);
  }
  plot.series.push_back(
      {.label = "perfect", .points = {{0.5, 0.5}, {1, 1}}, .colour = 6, .dashed = true});
  return plot;
}

void run(PreferencesOptions options) {
  PretrainedModel pretrained(options.model, options.inference);
  if (pretrained.config().head != HeadKind::score) {
    throw input_error(options.model, "has no score head",
                      "give a reward model (LlamaForSequenceClassification)");
  }
  if (options.examples.max_length == 0) {
    options.examples.max_length = pretrained.config().max_position_embeddings;
  }
  Scorer scorer(pretrained.model(), options.batch_tokens);
  scorer.reserve(pretrained.arena());
  const std::vector<PreferencePair> pairs = read_pairs(options, pretrained.tokenizer(), scorer);
  pretrained.load();

  std::vector<Example> sequences;
  for (const PreferencePair& pair : pairs) {
    sequences.push_back(pair.chosen);
    sequences.push_back(pair.rejected);
  }
  const std::vector<float> rewards = scorer.rewards(sequences);
  std::vector<JudgedPair> judged;
  for (size_t i = 0; i < pairs.size(); ++i) {
    judged.push_back({.pair = &pairs[i],
                      .chosen = double{rewards[2 * i]},
                      .rejected = double{rewards[2 * i + 1]}});
  }
  const PreferenceEvaluation evaluation = evaluate_preferences(judged);
  fmt::print("{}", table(evaluation));
  nlohmann::ordered_json figures = {{"model", options.model}, {"data", options.data}};
  figures.update(to_json(evaluation));
  write_figures(options.output, figures);
  if (!options.plot.empty()) {
    write_file_atomically(options.plot, render_svg(calibration_plot(evaluation)));
  }
}

}  // namespace

void add_eval_preferences_command(CLI::App& eval) {
  CLI::App* command =
      eval.add_subcommand("preferences", "accuracy and calibration of a reward model");
  auto options = std::make_shared<PreferencesOptions>();
  add_inference_options(*command, options->model, options->inference);
  command->add_option("--data", options->data, "file of preferences; may be repeated")
      ->required()
      ->allow_extra_args(false);
  command->add_option(
      "--batch-tokens", options->batch_tokens,
      "tokens of a pass; 0: what the model's longest sequence needs, at least 2048");
  command->add_option("--max-length", options->examples.max_length,
                      "longest sequence; 0: what the model allows");
  add_record_options(*command, options->examples);
  command->add_option("--output", options->output, "JSON file for the figures");
  command->add_option("--plot", options->plot, "SVG file, accuracy against confidence");
  command->callback([options] { run(*options); });
}

}  // namespace cria
