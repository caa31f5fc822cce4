// cria eval win-rate: whose answers are better, by reward models or by any program.
#include <filesystem>
#include <memory>

#include "trainers/commands/eval_commands.h"
#include "trainers/commands/evaluation_options.h"
#include "trainers/evaluation/win_rate.h"

namespace cria {

namespace {

struct WinRateOptions {
  std::string first;
  std::string second;
  AnsweringOptions answering;
  RewardScorerOptions rewards;
  std::string judge_command;
  double judge_timeout = 0;
  double tie_margin = 0;
  std::vector<std::string> fields = {"category", "kind"};
  std::string output;
};

std::vector<EvaluatedAnswer> answers_of_model(const std::string& directory,
                                              const WinRateOptions& options) {
  AnsweringOptions answering = options.answering;
  if (answering.prompts.empty()) {
    throw input_error(directory, "is a model, and has no prompts to answer", "give --prompts");
  }
  validate(answering.sampling, "eval win-rate");
  AnsweringModel model(directory, options.rewards.inference);
  const std::vector<Prompt> prompts =
      read_all_prompts(answering.prompts, prompt_form(options.rewards.separator), model.tokenizer(),
                       model.checker(answering.sampling));
  answering.generator.max_context =
      model.context_needed(prompts, answering.sampling.max_new_tokens);
  model.load(answering.generator);
  return sample_answers(model, prompts, answering.sampling, answering.samples);
}

std::vector<EvaluatedAnswer> answers_of(const std::string& path, const WinRateOptions& options) {
  std::vector<EvaluatedAnswer> answers =
      std::filesystem::is_directory(path) ? answers_of_model(path, options) : read_answers(path);
  add_prompt_fields(answers, options.answering.prompts);
  return answers;
}

std::chrono::milliseconds timeout_of(const WinRateOptions& options) {
  return std::chrono::ceil<std::chrono::milliseconds>(
      std::chrono::duration<double>(options.judge_timeout));
}

void run(const WinRateOptions& options) {
  if (options.rewards.given() && !options.judge_command.empty()) {
    throw input_error("--judge-command", "there are reward models to judge already", "give either");
  }
  std::unique_ptr<RewardScorer> scorer;
  std::unique_ptr<Judge> judge;
  if (options.judge_command.empty()) {
    scorer = std::make_unique<RewardScorer>(options.rewards);
    judge = std::make_unique<RewardJudge>(*scorer, options.tie_margin);
  } else {
    judge = std::make_unique<CommandJudge>(options.judge_command, timeout_of(options));
  }
  const std::vector<EvaluatedAnswer> first = answers_of(options.first, options);
  const std::vector<EvaluatedAnswer> second = answers_of(options.second, options);
  const WinRates rates = judge_pairs(pair_answers(first, second), *judge,
                                     options.answering.generator.seed, options.fields);

  fmt::print("{} against {}\n{}", options.first, options.second, table(rates));
  const int64_t decided = rates.parts.front().decided();
  if (decided > 0) {
    fmt::print("the answer that was shown first won {:.1f}% of the decided pairs\n",
               100 * static_cast<double>(rates.shown_first_won) / static_cast<double>(decided));
  }
  nlohmann::ordered_json figures = {
      {"first", options.first}, {"second", options.second}, {"judge", judge->description()}};
  figures.update(to_json(rates));
  write_figures(options.output, figures);
}

}  // namespace

void add_eval_win_rate_command(CLI::App& eval) {
  CLI::App* command = eval.add_subcommand("win-rate", "whose answers are better");
  auto options = std::make_shared<WinRateOptions>();
  command->add_option("--first", options->first, "answers (a file of `generate`), or a model")
      ->required();
  command->add_option("--second", options->second, "the same, of what it is compared with")
      ->required();
  add_answering_options(*command, options->answering);
  add_reward_model_options(*command, options->rewards);
  command
      ->add_option("--tie-margin", options->tie_margin,
                   "rewards that are no further apart are a tie")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_option("--judge-command", options->judge_command,
                      "a program that judges instead of reward models, run by sh");
  command
      ->add_option("--judge-timeout", options->judge_timeout,
                   "seconds for all pairs together; 0: as long as it takes")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command
      ->add_option("--by", options->fields,
                   "fields of the lines whose values make parts, separated by commas")
      ->delimiter(',')
      ->capture_default_str();
  command->add_option("--output", options->output, "JSON file for the figures");
  command->footer(
      "The judge's program reads one line of JSON a pair, {\"id\", \"prompt\", \"a\", \"b\", …}, "
      "and prints\none line for each in the same order: a, b or tie. Which answer is a is drawn at "
      "random.");
  command->callback([options] { run(*options); });
}

}  // namespace cria
