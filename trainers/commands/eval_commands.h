// The subcommands of `cria eval`, as commands.h has those of `cria`.
#pragma once

#include <CLI/CLI.hpp>

namespace cria {

// perplexity, multiple-choice, and `eval` itself, which does either
void add_eval_likelihood_commands(CLI::App& eval);
void add_eval_win_rate_command(CLI::App& eval);
void add_eval_self_bleu_command(CLI::App& eval);
void add_eval_rewards_command(CLI::App& eval);
void add_eval_preferences_command(CLI::App& eval);
void add_eval_red_team_command(CLI::App& eval);

}  // namespace cria
