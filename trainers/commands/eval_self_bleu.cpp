// cria eval self-bleu: how alike a model's answers to one prompt are, by temperature.
#include <memory>

#include "trainers/commands/eval_commands.h"
#include "trainers/commands/evaluation_options.h"
#include "trainers/evaluation/self_bleu.h"

namespace cria {

namespace {

struct SelfBleuOptions {
  std::string model;
  std::vector<std::string> answers;
  AnsweringOptions answering{.prompts = {}, .sampling = {}, .generator = {}, .samples = 10};
  std::vector<double> temperatures;
  std::optional<std::string> separator;
  InferenceOptions inference;
  std::string tokens = "words";
  std::string group_field = "file";
  std::string output;
  std::string plot;
};

std::vector<EvaluatedAnswer> sampled(const SelfBleuOptions& options) {
  AnsweringOptions answering = options.answering;
  if (answering.prompts.empty()) {
    throw input_error("--prompts", "no file is named", "the model needs prompts to answer");
  }
  if (options.temperatures.empty()) {
    throw input_error("--temperatures", "none is given", "say 0.2,0.6,1");
  }
  if (answering.samples < 2) {
    throw input_error("--num-samples", "one answer cannot be compared", "at least 2");
  }
  AnsweringModel model(options.model, options.inference);
  std::vector<SamplingSettings> settings;
  for (const double temperature : options.temperatures) {
    settings.push_back(answering.sampling);
    settings.back().temperature = static_cast<float>(temperature);
    validate(settings.back(), "eval self-bleu");
  }
  const std::vector<Prompt> prompts =
      read_all_prompts(answering.prompts, prompt_form(options.separator), model.tokenizer(),
                       model.checker(settings.front()));
  answering.generator.max_context =
      model.context_needed(prompts, answering.sampling.max_new_tokens);
  model.load(answering.generator);
  std::vector<EvaluatedAnswer> all;
  for (size_t i = 0; i < settings.size(); ++i) {
    fmt::print(stderr, "temperature {}\n", options.temperatures[i]);
    for (EvaluatedAnswer& answer : sample_answers(model, prompts, settings[i], answering.samples)) {
      answer.temperature = options.temperatures[i];
      all.push_back(std::move(answer));
    }
  }
  return all;
}

std::vector<EvaluatedAnswer> from_files(const SelfBleuOptions& options) {
  const std::vector<double>& temperatures = options.temperatures;
  if (!temperatures.empty() && temperatures.size() != options.answers.size()) {
    throw input_error(
        "--temperatures",
        fmt::format("{} for {} files of answers", temperatures.size(), options.answers.size()),
        "give one for each, or none where the lines say it");
  }
  std::vector<EvaluatedAnswer> all;
  for (size_t i = 0; i < options.answers.size(); ++i) {
    for (EvaluatedAnswer& answer : read_answers(options.answers[i])) {
      if (!temperatures.empty()) answer.temperature = temperatures[i];
      all.push_back(std::move(answer));
    }
  }
  return all;
}

void run(const SelfBleuOptions& options) {
  if (options.model.empty() == options.answers.empty()) {
    throw input_error("--model", "give a model, or with --answers what it has said");
  }
  const BleuTokens tokens = options.tokens == "ids" ? BleuTokens::ids : BleuTokens::words;
  std::vector<EvaluatedAnswer> answers =
      options.model.empty() ? from_files(options) : sampled(options);
  add_prompt_fields(answers, options.answering.prompts);
  const std::vector<SelfBleuPoint> points = self_bleu_points(answers, tokens, options.group_field);
  fmt::print("{}", table(points));
  write_figures(options.output, {{"tokens", options.tokens}, {"points", to_json(points)}});
  if (!options.plot.empty()) write_file_atomically(options.plot, render_svg(plot(points)));
}

}  // namespace

void add_eval_self_bleu_command(CLI::App& eval) {
  CLI::App* command =
      eval.add_subcommand("self-bleu", "how alike answers to one prompt are, by temperature");
  auto options = std::make_shared<SelfBleuOptions>();
  command->add_option("--model", options->model, "Hugging Face directory, to sample from");
  command
      ->add_option("--answers", options->answers,
                   "instead of a model: what `generate` or `rejection` wrote; may be repeated")
      ->allow_extra_args(false);
  add_answering_options(*command, options->answering);
  command->remove_option(command->get_option("--temperature"));
  command
      ->add_option("--temperatures", options->temperatures,
                   "to sample at, separated by commas; with --answers one for each file")
      ->delimiter(',');
  command->add_option("--separator", options->separator,
                      "prompts are texts to continue, with this after them, instead of chats");
  add_device_options(*command, options->inference);
  command
      ->add_option("--tokens", options->tokens,
                   "words: separated by white space; ids: the tokens as sampled, without the eos")
      ->check(CLI::IsMember({"words", "ids"}))
      ->capture_default_str();
  command
      ->add_option("--group-by", options->group_field,
                   "field of the prompts whose values are groups; `file` is the name of their file")
      ->capture_default_str();
  command->add_option("--output", options->output, "JSON file for the figures");
  command->add_option("--plot", options->plot, "SVG file, Self-BLEU against temperature");
  command->callback([options] { run(*options); });
}

}  // namespace cria
