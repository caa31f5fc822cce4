// The subcommands of `cria`, one file each. add_…_command() declares options on the app and sets
// the callback that runs it; mistakes are thrown as Errors and printed by main().
#pragma once

#include <CLI/CLI.hpp>

namespace cria {

void add_tokenizer_command(CLI::App& app);  // tokenizer train
void add_tokenize_command(CLI::App& app);
void add_init_command(CLI::App& app);
void add_pretrain_command(CLI::App& app);
void add_sft_command(CLI::App& app);
void add_reward_command(CLI::App& app);
void add_reward_scaling_command(CLI::App& app);
void add_dpo_command(CLI::App& app);
void add_rejection_command(CLI::App& app);
void add_distill_command(CLI::App& app);
void add_study_command(CLI::App& app);
void add_gatt_command(CLI::App& app);
void add_ppo_command(CLI::App& app);
void add_rlhf_command(CLI::App& app);
void add_generate_command(CLI::App& app);
void add_chat_command(CLI::App& app);
void add_score_command(CLI::App& app);
void add_eval_command(CLI::App& app);
void add_report_command(CLI::App& app);
void add_inspect_command(CLI::App& app);
void add_demo_data_command(CLI::App& app);
void add_demo_check_command(CLI::App& app);
void add_demo_rate_command(CLI::App& app);

}  // namespace cria
