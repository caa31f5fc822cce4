// The examples of a data file as pretraining or fine-tuning would see them, for the commands that
// look at them outside of a run.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cria/data/preference_builder.h"

namespace cria {

struct ExampleFileOptions {
  // pretrain: documents joined into rows of max_length. sft: one example a record. auto: pretrain
  // where the first record is a text, else sft; preferences where it is one.
  std::string format = "auto";
  int64_t max_length = 4096;
  std::string over_long = "drop";  // or truncate; sft
  std::optional<std::string> separator;
  bool skip_bad_lines = false;
};

// Checks max_length and over_long.
ExampleOptions example_options(const ExampleFileOptions& options);

struct ExampleFile {
  std::string format;  // pretrain or sft
  std::vector<Example> examples;
  std::string summary;  // a line for people: examples, tokens and what was left out
};

struct PreferenceFile {
  std::vector<PreferencePair> pairs;
  std::string summary;
};

// Whether --format leaves it to the file to say, and its first line is a preference.
bool is_preference_file(const std::string& path, const ExampleFileOptions& options);
PreferenceFile read_preference_file(const std::string& path, const ExampleFileOptions& options,
                                    const Tokenizer& tokenizer);

ExampleFile read_example_file(const std::string& path, const ExampleFileOptions& options,
                              const Tokenizer& tokenizer);

}  // namespace cria
