// cria eval rewards: how the rewards of answers are distributed, stage by stage.
#include <filesystem>
#include <memory>

#include "trainers/commands/eval_commands.h"
#include "trainers/commands/evaluation_options.h"
#include "trainers/evaluation/reward_distributions.h"

namespace cria {

namespace {

struct RewardsOptions {
  std::vector<std::string> stages;  // NAME=FILE, or FILE
  std::vector<std::string> prompts;
  RewardScorerOptions rewards;
  std::vector<std::string> fields = {"category"};
  int bins = 40;
  std::string output;
  std::string plot;
  std::string plotted;
};

// One of the scores of an answer.
struct Score {
  const char* name;
  float AnswerScore::*value;
};

std::vector<Score> scores_of(const RewardScorer& scorer) {
  std::vector<Score> scores;
  if (scorer.has_helpfulness()) scores.push_back({"helpfulness", &AnswerScore::helpfulness});
  if (scorer.has_safety()) scores.push_back({"safety", &AnswerScore::safety});
  if (scores.size() == 2) scores.push_back({"combined", &AnswerScore::combined});
  return scores;
}

// The score that is plotted: the last of them unless one is named.
const Score& plotted_score(const std::vector<Score>& scores, const std::string& name) {
  if (name.empty()) return scores.back();
  for (const Score& score : scores) {
    if (score.name == name) return score;
  }
  throw input_error("--score", fmt::format("'{}' is no score of these models", name),
                    "helpfulness or safety, with both models also combined");
}

StageRewards read_stage(const std::string& word, const RewardsOptions& options) {
  const size_t equals = word.find('=');
  StageRewards stage;
  std::string path = word;
  if (equals != std::string::npos) {
    stage.stage = word.substr(0, equals);
    path = word.substr(equals + 1);
  } else {
    const std::string file = std::filesystem::path(word).filename().string();
    stage.stage = file.substr(0, file.find('.'));
  }
  stage.answers = read_answers(path);
  add_prompt_fields(stage.answers, options.prompts);
  return stage;
}

void run(const RewardsOptions& options) {
  RewardScorer scorer(options.rewards);
  const std::vector<Score> scores = scores_of(scorer);
  const Score& plotted = plotted_score(scores, options.plotted);
  std::vector<StageRewards> stages;
  for (const std::string& word : options.stages) stages.push_back(read_stage(word, options));
  std::vector<std::vector<AnswerScore>> scored;
  for (const StageRewards& stage : stages) scored.push_back(scorer.score(stage.answers));

  nlohmann::ordered_json figures = {{"models", scorer.description()}};
  for (const Score& score : scores) {
    for (size_t s = 0; s < stages.size(); ++s) {
      stages[s].rewards.clear();
      for (const AnswerScore& answer : scored[s]) {
        stages[s].rewards.push_back(double{answer.*score.value});
      }
    }
    const RewardDistributions distributions =
        reward_distributions(stages, options.bins, options.fields);
    fmt::print("{}\n{}", score.name, table(distributions));
    figures["scores"][score.name] = to_json(distributions);
    if (score.value == plotted.value && !options.plot.empty()) {
      write_file_atomically(options.plot, render_svg(plot(distributions, score.name)));
    }
  }
  write_figures(options.output, figures);
}

}  // namespace

void add_eval_rewards_command(CLI::App& eval) {
  CLI::App* command = eval.add_subcommand("rewards", "how rewards are distributed, stage by stage");
  auto options = std::make_shared<RewardsOptions>();
  command
      ->add_option("--answers", options->stages,
                   "NAME=FILE: a stage and what `generate` or `rejection` wrote; may be repeated")
      ->required()
      ->allow_extra_args(false);
  add_prompts_option(*command, options->prompts);
  add_reward_model_options(*command, options->rewards);
  command
      ->add_option("--by", options->fields,
                   "fields of the lines whose values make parts, separated by commas")
      ->delimiter(',')
      ->capture_default_str();
  command->add_option("--bins", options->bins, "of the histograms")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  command->add_option("--output", options->output, "JSON file for the figures");
  command->add_option("--plot", options->plot, "SVG file, the histograms of all stages");
  command->add_option("--score", options->plotted,
                      "what is plotted: helpfulness, safety or, by default with both, combined");
  command->callback([options] { run(*options); });
}

}  // namespace cria
