#include <memory>

#include "cria/data/demo_text.h"

#include "trainers/commands/commands.h"

namespace cria {

void add_demo_data_command(CLI::App& app) {
  struct Options {
    std::string output;
    uint64_t seed = 0;
  };
  CLI::App* command = app.add_subcommand("demo-data", "write the texts that the demo trains on");
  auto options = std::make_shared<Options>();
  command->add_option("--output", options->output, "directory to write into")->required();
  command->add_option("--seed", options->seed, "another seed, another world");
  command->callback([options] { write_demo_text(options->output, options->seed); });
}

}  // namespace cria
