// cria: one binary, one subcommand for each thing it does.
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <system_error>

#include <spdlog/spdlog.h>
#include <unistd.h>

#include "cria/core/error.h"
#include "cria/dist/communicator.h"
#include "cria/io/file.h"

#include "trainers/commands/commands.h"

namespace {

int report(const std::exception& exception, int exit_code) {
  fmt::print(stderr, "error: {}\n", exception.what());
  cria::abort_ranks(exit_code);
  return exit_code;
}

// Threads that wait for the others spin for a moment, then sleep. libgomp's own default spins for
// milliseconds, which makes a run ten times slower when anything else wants the cores. It reads the
// environment before main(), so the program starts itself again; what the user has set stands.
void limit_spinning(char** argv) {
  if (std::getenv("GOMP_SPINCOUNT") || std::getenv("OMP_WAIT_POLICY")) return;
  setenv("GOMP_SPINCOUNT", "10000", 1);
  // By its path: a process started as /proc/self/exe is called `exe` by ps, top and pgrep.
  std::error_code unknown;
  const auto path = std::filesystem::read_symlink("/proc/self/exe", unknown);
  execv(path.c_str(), argv);  // returns only when it fails: then go on, slower at worst
}

}  // namespace

int main(int argc, char** argv) {
  using namespace cria;
  limit_spinning(argv);
  CLI::App app{"cria: train Llama-2-style models, from a random start to an aligned chat model"};
  app.require_subcommand(1);
  add_tokenizer_command(app);
  add_tokenize_command(app);
  add_init_command(app);
  add_pretrain_command(app);
  add_sft_command(app);
  add_reward_command(app);
  add_reward_scaling_command(app);
  add_dpo_command(app);
  add_rejection_command(app);
  add_distill_command(app);
  add_study_command(app);
  add_gatt_command(app);
  add_ppo_command(app);
  add_rlhf_command(app);
  add_generate_command(app);
  add_chat_command(app);
  add_score_command(app);
  add_eval_command(app);
  add_report_command(app);
  add_inspect_command(app);
  add_demo_data_command(app);
  add_demo_check_command(app);
  add_demo_rate_command(app);
  try {
    const auto is_called = [&](const CLI::App* command) { return command->get_name() == argv[1]; };
    if (argc > 1 && argv[1][0] != '-' && app.get_subcommands(is_called).empty()) {
      throw input_error(argv[1], "there is no such command", "cria --help lists them");
    }
    ignore_file_size_signal();
    spdlog::set_pattern("%H:%M:%S %v");
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {  // --help
    return app.exit(success);
  } catch (const CLI::RuntimeError& ended) {  // a run stopped by a signal: its exit code
    return ended.get_exit_code();
  } catch (const CLI::ParseError& parse_error) {
    return report(parse_error, 2);
  } catch (const Error& error) {
    return report(error, error.exit_code());
  } catch (const std::exception& exception) {
    return report(exception, 1);
  }
  return 0;
}
