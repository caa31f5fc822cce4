// Options that the commands which look at training examples have in common.
#pragma once

#include <CLI/CLI.hpp>

#include "trainers/example_files.h"

namespace cria {

inline void add_record_options(CLI::App& command, ExampleFileOptions& options) {
  command
      .add_option("--over-long", options.over_long,
                  "drop or truncate examples longer than --max-length")
      ->capture_default_str();
  command.add_option("--separator", options.separator,
                     "between prompt and completion, instead of the chat format");
  command.add_flag("--skip-bad-lines", options.skip_bad_lines, "count bad lines and go on");
}

inline void add_example_file_options(CLI::App& command, ExampleFileOptions& options) {
  command
      .add_option("--format", options.format,
                  "pretrain: documents joined into rows; sft: one example a record; auto: by the "
                  "first record")
      ->capture_default_str();
  add_record_options(command, options);
}

}  // namespace cria
