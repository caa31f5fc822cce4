#include "cria/data/example_builder.h"

#include <algorithm>

#include "cria/text/utf8.h"

#include "convert_records.h"

namespace cria {

namespace {

void check_ids(const Tokens& tokens, const Tokenizer& tokenizer, const std::string& where) {
  const auto check = [&](const std::vector<int32_t>& ids, const char* field) {
    for (size_t i = 0; i < ids.size(); ++i) {
      if (ids[i] < tokenizer.vocab_size()) continue;
      throw input_error(where,
                        fmt::format("field '{}[{}]' is {}, and the tokenizer has {} pieces", field,
                                    i, ids[i], tokenizer.vocab_size()),
                        "use the tokenizer that made the ids");
    }
  };
  check(tokens.ids, "input_ids");
  check(tokens.labels, "labels");
}

std::vector<int32_t> with_bos_and_eos(std::string_view text, const Tokenizer& tokenizer) {
  std::vector<int32_t> ids = encode_prompt(tokenizer, text);
  ids.push_back(tokenizer.eos_id());
  return ids;
}

EncodedText encode(const Completion& completion, const ExampleOptions& options,
                   const Tokenizer& tokenizer, const std::string& where) {
  if (strip(completion.completion).empty()) {
    throw input_error(where, "the completion is empty: there is nothing to learn");
  }
  if (options.separator) {
    return encode_completion(tokenizer, completion.prompt, *options.separator,
                             completion.completion);
  }
  const std::vector<Message> messages = {{"user", completion.prompt},
                                         {"assistant", completion.completion}};
  return encode_dialogue(tokenizer, messages, where);
}

// labels = ids in the segments to learn.
Example masked(EncodedText encoded, const std::vector<bool>& is_target) {
  Example example{.ids = std::move(encoded.ids), .labels = {}, .weights = {}};
  example.labels.assign(example.ids.size(), kNoLabel);
  for (size_t i = 0; i < example.ids.size(); ++i) {
    const int32_t segment = encoded.segments[i];
    if (segment != kMarker && is_target[segment]) example.labels[i] = example.ids[i];
  }
  return example;
}

Example dialogue_example(const Dialogue& dialogue, const ExampleOptions& options,
                         const Tokenizer& tokenizer, const std::string& where) {
  const std::vector<Message>& messages = dialogue.messages;
  EncodedText encoded = encode_dialogue(tokenizer, messages, where);
  if (messages.back().role != "assistant") {
    throw input_error(where, "the dialogue ends with the user's turn: there is no answer to learn");
  }
  const size_t first =
      options.targets == Targets::last ? messages.size() - 1 : dialogue.first_target;
  std::vector<bool> is_target(messages.size());
  for (size_t i = first; i < messages.size(); ++i) {
    is_target[i] = messages[i].role == "assistant";
    if (is_target[i] && strip(messages[i].content).empty()) {
      throw input_error(where, fmt::format("the answer in message {} is empty", i));
    }
  }
  return masked(std::move(encoded), is_target);
}

// False where the example is left out.
bool apply_policy(Example& example, const ExampleOptions& options, ExampleCounts& counts) {
  const bool over_long = static_cast<int64_t>(example.ids.size()) > options.max_length;
  if (over_long && options.over_long == OverLong::drop) {
    ++counts.dropped;
    return false;
  }
  if (over_long) {
    example.ids.resize(options.max_length);
    example.labels.resize(options.max_length);
  }
  if (!has_target(example)) {
    ++counts.unlabelled;
    return false;
  }
  counts.truncated += over_long;
  ++counts.examples;
  counts.tokens += static_cast<int64_t>(example.ids.size());
  return true;
}

}  // namespace

bool has_target(const Example& example) {
  for (size_t i = 1; i < example.ids.size(); ++i) {
    if (example.weight(i) > 0) return true;
  }
  return false;
}

OverLong parse_over_long(const std::string& name, const std::string& key) {
  if (name == "drop") return OverLong::drop;
  if (name == "truncate") return OverLong::truncate;
  throw input_error(key, fmt::format("'{}' is no policy", name), "set drop or truncate");
}

Example fine_tuning_example(const Record& record, const ExampleOptions& options,
                            const Tokenizer& tokenizer) {
  if (const auto* tokens = std::get_if<Tokens>(&record.content)) {
    check_ids(*tokens, tokenizer, record.where);
    return {.ids = tokens->ids, .labels = tokens->labels, .weights = {}};
  }
  if (const auto* dialogue = std::get_if<Dialogue>(&record.content)) {
    return dialogue_example(*dialogue, options, tokenizer, record.where);
  }
  if (const auto* completion = std::get_if<Completion>(&record.content)) {
    return masked(encode(*completion, options, tokenizer, record.where), {false, true});
  }
  const std::string& text = std::get<Text>(record.content).text;
  if (is_anthropic_dialogue(text)) {
    const Dialogue dialogue{.messages = parse_anthropic_dialogue(text, record.where)};
    return dialogue_example(dialogue, options, tokenizer, record.where);
  }
  std::vector<int32_t> ids = with_bos_and_eos(text, tokenizer);
  return {.ids = ids, .labels = ids, .weights = {}};
}

std::vector<int32_t> document_tokens(const Record& record, const ExampleOptions& options,
                                     const Tokenizer& tokenizer) {
  if (const auto* tokens = std::get_if<Tokens>(&record.content)) {
    check_ids(*tokens, tokenizer, record.where);
    if (tokens->labels != tokens->ids) {
      throw input_error(record.where, "labels differ from input_ids",
                        "pretraining learns every token: fine-tune on masked examples");
    }
    return tokens->ids;
  }
  if (const auto* dialogue = std::get_if<Dialogue>(&record.content)) {
    return encode_dialogue(tokenizer, dialogue->messages, record.where).ids;
  }
  if (const auto* completion = std::get_if<Completion>(&record.content)) {
    return encode(*completion, options, tokenizer, record.where).ids;
  }
  return with_bos_and_eos(std::get<Text>(record.content).text, tokenizer);
}

std::vector<Example> read_fine_tuning_examples(const std::string& path,
                                               const ExampleOptions& options, bool skip_bad_lines,
                                               const Tokenizer& tokenizer, ExampleCounts& counts) {
  RecordReader reader(path, skip_bad_lines);
  std::vector<Example> examples;
  convert_records(
      reader, [&](const Record& record) { return fine_tuning_example(record, options, tokenizer); },
      [&](Example example) {
        if (apply_policy(example, options, counts)) examples.push_back(std::move(example));
      });
  counts.skipped = reader.skipped();
  counts.first_skipped = reader.first_skipped();
  return examples;
}

}  // namespace cria
