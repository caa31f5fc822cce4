#include <memory>

#include "cria/demo_world/files.h"

#include "trainers/commands/commands.h"

namespace cria {

void add_demo_data_command(CLI::App& app) {
  struct Options {
    std::string output;
    uint64_t seed = 0;
    std::string size = "full";
  };
  CLI::App* command = app.add_subcommand("demo-data", "write the data of the demo's small world");
  auto options = std::make_shared<Options>();
  command->add_option("--output", options->output, "directory to write into")->required();
  command->add_option("--seed", options->seed, "another seed, another world");
  command->add_option("--size", options->size, "full, or small for trials")
      ->check(CLI::IsMember({"full", "small"}))
      ->capture_default_str();
  command->callback([options] {
    demo::write_demo_world(
        options->output, options->seed,
        options->size == "small" ? demo::WorldSizes::small() : demo::WorldSizes::full());
  });
}

}  // namespace cria
