#include "trainers/example_files.h"

#include "cria/data/training_data.h"

namespace cria {

namespace {

std::string format_of(const std::string& path, const ExampleFileOptions& options) {
  if (options.format == "pretrain" || options.format == "sft") return options.format;
  if (options.format != "auto") {
    throw input_error("format", fmt::format("'{}' is no format", options.format),
                      "auto, pretrain or sft");
  }
  RecordReader reader(path, options.skip_bad_lines);
  Record first;
  if (!reader.next(first)) throw input_error(path, "has no records");
  const auto* text = std::get_if<Text>(&first.content);
  return text && !is_anthropic_dialogue(text->text) ? "pretrain" : "sft";
}

std::string summary_of(const ExampleCounts& counts, const char* items) {
  std::string summary = fmt::format("{} {}, {} tokens", counts.examples, items, counts.tokens);
  const auto add = [&](int64_t count, const char* what) {
    if (count > 0) summary += fmt::format("; {} {}", count, what);
  };
  add(counts.truncated, "truncated");
  add(counts.dropped, "longer than max_length dropped");
  add(counts.unlabelled, "without a token to learn left out");
  add(counts.identical, "with two equal answers left out");
  add(counts.skipped, "bad lines skipped");
  if (counts.skipped > 0) summary += fmt::format(" (first: {})", counts.first_skipped);
  return summary;
}

ExampleFile read_documents(const std::string& path, const ExampleFileOptions& options,
                           const Tokenizer& tokenizer) {
  const DataOptions data{.max_length = options.max_length,
                         .skip_bad_lines = options.skip_bad_lines,
                         .separator = options.separator};
  ExampleFile file{.format = "pretrain", .examples = {}, .summary = {}};
  int64_t tokens = 0;
  for (Row& row : pretraining_evaluation_rows({{.path = path}}, data, tokenizer)) {
    for (Example& example : row) {
      tokens += static_cast<int64_t>(example.ids.size());
      file.examples.push_back(std::move(example));
    }
  }
  file.summary = fmt::format("{} rows, {} tokens", file.examples.size(), tokens);
  return file;
}

}  // namespace

ExampleOptions example_options(const ExampleFileOptions& options) {
  if (options.max_length < 2) {
    throw input_error("max_length", fmt::format("{} is out of bounds", options.max_length),
                      "at least 2");
  }
  return {.max_length = options.max_length,
          .over_long = parse_over_long(options.over_long, "over_long"),
          .separator = options.separator};
}

ExampleFile read_example_file(const std::string& path, const ExampleFileOptions& options,
                              const Tokenizer& tokenizer) {
  const ExampleOptions form = example_options(options);
  if (format_of(path, options) == "pretrain") return read_documents(path, options, tokenizer);
  ExampleCounts counts;
  ExampleFile file{.format = "sft", .examples = {}, .summary = {}};
  file.examples = read_fine_tuning_examples(path, form, options.skip_bad_lines, tokenizer, counts);
  file.summary = summary_of(counts, "examples");
  return file;
}

bool is_preference_file(const std::string& path, const ExampleFileOptions& options) {
  return options.format == "auto" && holds_preferences(path);
}

PreferenceFile read_preference_file(const std::string& path, const ExampleFileOptions& options,
                                    const Tokenizer& tokenizer) {
  ExampleCounts counts;
  PreferenceFile file;
  file.pairs = read_preference_pairs(path, example_options(options), options.skip_bad_lines,
                                     tokenizer, counts);
  file.summary = summary_of(counts, "pairs");
  return file;
}

}  // namespace cria
