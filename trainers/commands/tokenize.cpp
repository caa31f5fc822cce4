// cria tokenize: the ids and labels of a data file, exactly as training sees them.
#include <memory>
#include <nlohmann/json.hpp>

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

std::string json_fields(const Example& example, const char* front = "") {
  return fmt::format("\"{0}input_ids\": [{1}], \"{0}labels\": [{2}]", front,
                     fmt::join(example.ids, ", "), fmt::join(example.labels, ", "));
}

// With all that training reads beside the tokens.
std::string json_line(const PreferencePair& pair) {
  std::string line = fmt::format("{{{}, {}", json_fields(pair.chosen, "chosen_"),
                                 json_fields(pair.rejected, "rejected_"));
  const auto add = [&](const char* field, const nlohmann::json& value) {
    line += fmt::format(", \"{}\": {}", field, value.dump());
  };
  if (pair.rating) add("rating", kRatingNames[static_cast<size_t>(*pair.rating)]);
  if (pair.margin) add("margin", *pair.margin);
  add("category", kCategoryNames[static_cast<size_t>(pair.category)]);
  add("source", pair.source);
  if (pair.chosen_safe) add("chosen_safe", *pair.chosen_safe);
  if (pair.rejected_safe) add("rejected_safe", *pair.rejected_safe);
  return line + "}\n";
}

void run(const TokenizeOptions& options) {
  const Tokenizer tokenizer(options.tokenizer);
  std::string lines, summary;
  if (is_preference_file(options.data, options.examples)) {
    const PreferenceFile file = read_preference_file(options.data, options.examples, tokenizer);
    for (const PreferencePair& pair : file.pairs) lines += json_line(pair);
    summary = file.summary;
  } else {
    const ExampleFile file = read_example_file(options.data, options.examples, tokenizer);
    for (const Example& example : file.examples) {
      lines += fmt::format("{{{}}}\n", json_fields(example));
    }
    summary = file.summary;
  }
  write_file_atomically(options.output, lines);
  fmt::print("{}: {}\n", options.output, summary);
}

}  // namespace

void add_tokenize_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "tokenize", "input_ids and labels exactly as training sees them, of preferences both");
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
