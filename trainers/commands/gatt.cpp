// cria gatt: Ghost Attention, as a whole or step by step.
#include "trainers/gatt.h"

#include <memory>

#include "trainers/commands/commands.h"

namespace cria {

void add_gatt_command(CLI::App& app) {
  struct Options {
    std::string recipe;
    std::vector<std::string> assignments;
    bool print_config = false;
    std::string step = "all";
  };
  CLI::App* command =
      app.add_subcommand("gatt", "Ghost Attention: an instruction that holds over a dialogue");
  auto options = std::make_shared<Options>();
  command->add_option("recipe", options->recipe, "YAML file with the run's settings");
  command->add_option("--set", options->assignments, "key.path=value, after the file's")
      ->allow_extra_args(false);
  command->add_flag("--print-config", options->print_config,
                    "print every key in force with its meaning, and stop");
  command
      ->add_option("--step", options->step,
                   "lists, instructions, sample, examples, train or preferences alone; all: every "
                   "one but preferences")
      ->capture_default_str();
  command->callback([options] {
    GattConfig config;
    ConfigSchema schema;
    declare(schema, config);
    if (!options->recipe.empty()) schema.read_file(options->recipe);
    for (const std::string& assignment : options->assignments) schema.set(assignment);
    if (options->print_config) {
      fmt::print("{}", schema.print());
      return;
    }
    schema.check();
    const int exit_code = gatt(config, schema.print(), parse_gatt_step(options->step));
    if (exit_code != 0) throw CLI::RuntimeError(exit_code);
  });
}

}  // namespace cria
