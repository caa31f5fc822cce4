// cria tokenize: the ids and labels of a data file, exactly as training sees them.
#include <memory>
#include <nlohmann/json.hpp>

#include "cria/data/ghost_attention.h"
#include "cria/io/atomic_directory.h"

#include "trainers/commands/coloured_tokens.h"
#include "trainers/commands/commands.h"
#include "trainers/commands/example_file_options.h"

namespace cria {

namespace {

struct TokenizeOptions {
  std::string tokenizer;
  std::string data;
  std::string output;
  bool gatt = false;
  std::string placement = "user";
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

// What Ghost Attention makes of dialogues with an instruction: the prompt for the last answer to be
// sampled from, and the example to train on, with the long form.
void run_gatt(const TokenizeOptions& options) {
  const Tokenizer tokenizer(options.tokenizer);
  const Placement placement = parse_placement(options.placement, "--placement");
  const int64_t room = example_options(options.examples).max_length;
  const bool colours = output_has_colours();
  std::string written;
  int64_t examples = 0, left_out = 0, dropped = 0;
  JsonLines lines(options.data, options.examples.skip_bad_lines);
  for (nlohmann::json line; lines.next(line);) {
    try {
      const InstructedDialogue dialogue = parse_instructed_dialogue(line, lines.where());
      const size_t last = dialogue.turns.size() - 1;
      const auto sampling =
          ghost_prompt(dialogue, last, {.turns = InstructedTurns::every, .placement = placement},
                       tokenizer, room, lines.where());
      const auto training =
          ghost_example(dialogue, last, {.turns = InstructedTurns::first, .placement = placement},
                        tokenizer, room, lines.where());
      if (!sampling || !training) {
        ++left_out;
        continue;
      }
      ++examples;
      dropped += static_cast<int64_t>(training->dropped);
      if (options.output.empty()) {
        fmt::print("{}\nsampling: {}\ntraining: {}\n\n", lines.where(),
                   shown(sampling->example, tokenizer, colours),
                   shown(training->example, tokenizer, colours));
      } else {
        written +=
            fmt::format("{{\"sampling_input_ids\": [{}], {}}}\n",
                        fmt::join(sampling->example.ids, ", "), json_fields(training->example));
      }
    } catch (const Error& error) {
      lines.reject(error);
    }
  }
  if (options.output.empty()) return;
  write_file_atomically(options.output, written);
  std::string summary = fmt::format("{} dialogues", examples);
  const auto add = [&](int64_t count, const char* what) {
    if (count > 0) summary += fmt::format("; {} {}", count, what);
  };
  add(dropped, "turns dropped to fit max_length");
  add(left_out, "longer than max_length left out");
  add(lines.skipped(), "bad lines skipped");
  fmt::print("{}: {}\n", options.output, summary);
}

void run(const TokenizeOptions& options) {
  if (options.gatt) return run_gatt(options);
  if (options.output.empty()) {
    throw input_error("--output", "is missing", "name the file to write; only --gatt does without");
  }
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
  command->add_option("--output", options->output,
                      "JSON Lines to write; with --gatt they are shown without it");
  command->add_flag("--gatt", options->gatt,
                    "dialogues with an instruction, as Ghost Attention samples (the instruction "
                    "before every user turn) and trains (before the first)");
  command
      ->add_option("--placement", options->placement,
                   "of the instruction with --gatt: user or system message")
      ->capture_default_str();
  command
      ->add_option("--max-length", options->examples.max_length,
                   "longest example, or length of a row of documents")
      ->capture_default_str();
  add_example_file_options(*command, options->examples);
  command->callback([options] { run(*options); });
}

}  // namespace cria
