// cria eval: figures of models and of their answers, one subcommand for each kind.
#include "trainers/commands/commands.h"
#include "trainers/commands/eval_commands.h"

namespace cria {

void add_eval_command(CLI::App& app) {
  CLI::App* eval = app.add_subcommand(
      "eval", "figures of models; by itself perplexity, and accuracy on multiple-choice questions");
  add_eval_likelihood_commands(*eval);
  add_eval_win_rate_command(*eval);
  add_eval_self_bleu_command(*eval);
  add_eval_rewards_command(*eval);
  add_eval_preferences_command(*eval);
  add_eval_red_team_command(*eval);
}

}  // namespace cria
