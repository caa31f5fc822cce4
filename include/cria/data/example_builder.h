// From a record to the example that training sees.
//
// Fine-tuning: prompt tokens carry no label, answer tokens and their eos do; prompts and
// completions go through the chat format, or with a separator in the plain form. Text learns every
// token, bos text eos. Pretraining: every token is learnt.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cria/data/example.h"
#include "cria/data/records.h"
#include "cria/text/tokenizer.h"

namespace cria {

enum class OverLong {
  drop,      // leave the example out
  truncate,  // keep its first max_length tokens; without an eos that the model would learn to stop
             // at
};

enum class Targets {
  all,   // every answer of a dialogue is learnt
  last,  // only the last one
};

struct ExampleOptions {
  int64_t max_length = 4096;
  OverLong over_long = OverLong::drop;
  Targets targets = Targets::all;
  std::optional<std::string> separator;  // plain prompt/completion form instead of the chat format
};

OverLong parse_over_long(const std::string& name, const std::string& key);  // "drop", "truncate"

// What became of the records of one file.
struct ExampleCounts {
  int64_t examples = 0;    // kept
  int64_t tokens = 0;      // of those
  int64_t truncated = 0;   // kept, cut to max_length
  int64_t dropped = 0;     // longer than max_length
  int64_t unlabelled = 0;  // left out: no token to learn is (or remains) in them
  int64_t identical = 0;   // preferences left out: both answers are the same
  int64_t skipped = 0;     // bad lines
  std::string first_skipped;
};

// Whether any of its tokens is learnt. The first one never is.
bool has_target(const Example& example);

// The whole example, however long. Throws an input Error for what cannot be learnt from: roles out
// of order, a dialogue that ends with the user, ids outside the vocabulary.
Example fine_tuning_example(const Record& record, const ExampleOptions& options,
                            const Tokenizer& tokenizer);

// The tokens of a document for pretraining: bos text eos; dialogues and completions in the chat
// format; tokenized records as they are (labels that differ from the ids are an input Error).
std::vector<int32_t> document_tokens(const Record& record, const ExampleOptions& options,
                                     const Tokenizer& tokenizer);

// All examples of a file in order, tokenized on all cores, with the length policy applied: what
// `cria tokenize` writes and fine-tuning reads.
std::vector<Example> read_fine_tuning_examples(const std::string& path,
                                               const ExampleOptions& options, bool skip_bad_lines,
                                               const Tokenizer& tokenizer, ExampleCounts& counts);

}  // namespace cria
