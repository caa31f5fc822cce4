// cria tokenize: the ids and labels of a data file, exactly as training sees them.
#include <memory>

#include "cria/io/atomic_directory.h"

#include "trainers/commands/commands.h"
#include "trainers/commands/example_file_options.h"

namespace cria {

namespace {

struct TokenizeOptions {
  std::string tokenizer;
  std::string data;
  std::string output;
  ExampleFileOptions examples;
};

void run(const TokenizeOptions& options) {
  const Tokenizer tokenizer(options.tokenizer);
  const ExampleFile file = read_example_file(options.data, options.examples, tokenizer);
  std::string lines;
  for (const Example& example : file.examples) {
    lines += fmt::format("{{\"input_ids\": [{}], \"labels\": [{}]}}\n",
                         fmt::join(example.ids, ", "), fmt::join(example.labels, ", "));
  }
  write_file_atomically(options.output, lines);
  fmt::print("{}: {}\n", options.output, file.summary);
}

}  // namespace

void add_tokenize_command(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("tokenize", "input_ids and labels exactly as training sees them");
  auto options = std::make_shared<TokenizeOptions>();
  command->add_option("--tokenizer", options->tokenizer, "tokenizer.model")->required();
  command->add_option("--data", options->data, "file in any form that training reads")->required();
  command->add_option("--output", options->output, "JSON Lines to write")->required();
  command
      ->add_option("--max-length", options->examples.max_length,
                   "longest example, or length of a row of documents")
      ->capture_default_str();
  add_example_file_options(*command, options->examples);
  command->callback([options] { run(*options); });
}

}  // namespace cria
